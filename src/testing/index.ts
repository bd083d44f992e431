export { testHandler, type TestOptions } from './test-handler.ts';
export type { LogRecord, TestCall, TestedHandler, TestRequest } from './tested-handler.ts';
export type { FakeModel, FakeNext } from './fake-model.ts';
export { TestResponse } from './test-response.ts';
