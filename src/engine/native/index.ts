export { limitArenas } from './arenas.ts';
export {
  callAsync,
  functionAt,
  openLibrary,
  readPointerTable,
  type Callback,
  type CType,
  type Library,
  type NativeFunction,
  type Pointer,
} from './library.ts';
export { addressOf, copyFromNative, copyToNative, NativeStrings, NativeWords, readCString } from './memory.ts';
export { handleCounts, Handles, liveHandles, withHandles } from './handles.ts';
