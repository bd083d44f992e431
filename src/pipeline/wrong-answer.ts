/** User code gave what cannot be used; the message begins with what it did and says what was expected. The pipeline adds file and method. */
export class WrongAnswer extends Error {
  override readonly name = 'WrongAnswer';
}
