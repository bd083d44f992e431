import { functionAt, openLibrary, readPointerTable, type CType, type NativeFunction, type Pointer } from '../native/index.ts';

/**
 * The functions used here of ONNX Runtime's `struct OrtApi`: place in the struct, result, arguments. The struct only ever grows at its end
 * (the library's ABI promise), so a place stays valid for every later version. A `pointer` result is an OrtStatus, NULL for success.
 */
const FUNCTIONS = {
  GetErrorCode: [1, 'int32', ['pointer']],
  GetErrorMessage: [2, 'string', ['pointer']],
  CreateEnv: [3, 'pointer', ['int32', 'string', 'pointer']],
  DisableTelemetryEvents: [6, 'pointer', ['pointer']],
  CreateSession: [7, 'pointer', ['pointer', 'path', 'pointer', 'pointer']],
  Run: [9, 'pointer', ['pointer', 'pointer', 'pointer', 'pointer', 'size', 'pointer', 'size', 'pointer']],
  CreateSessionOptions: [10, 'pointer', ['pointer']],
  SetOptimizedModelFilePath: [11, 'pointer', ['pointer', 'path']],
  SetSessionExecutionMode: [13, 'pointer', ['pointer', 'int32']],
  SetSessionLogSeverityLevel: [22, 'pointer', ['pointer', 'int32']],
  SetSessionGraphOptimizationLevel: [23, 'pointer', ['pointer', 'int32']],
  SetIntraOpNumThreads: [24, 'pointer', ['pointer', 'int32']],
  SetInterOpNumThreads: [25, 'pointer', ['pointer', 'int32']],
  SessionGetInputCount: [30, 'pointer', ['pointer', 'pointer']],
  SessionGetOutputCount: [31, 'pointer', ['pointer', 'pointer']],
  SessionGetInputTypeInfo: [33, 'pointer', ['pointer', 'size', 'pointer']],
  SessionGetOutputTypeInfo: [34, 'pointer', ['pointer', 'size', 'pointer']],
  SessionGetInputName: [36, 'pointer', ['pointer', 'size', 'pointer', 'pointer']],
  SessionGetOutputName: [37, 'pointer', ['pointer', 'size', 'pointer', 'pointer']],
  CreateRunOptions: [39, 'pointer', ['pointer']],
  RunOptionsSetTerminate: [46, 'pointer', ['pointer']],
  RunOptionsUnsetTerminate: [47, 'pointer', ['pointer']],
  CreateTensorAsOrtValue: [48, 'pointer', ['pointer', 'pointer', 'size', 'int32', 'pointer']],
  CreateTensorWithDataAsOrtValue: [49, 'pointer', ['pointer', 'pointer', 'size', 'pointer', 'size', 'int32', 'pointer']],
  GetTensorMutableData: [51, 'pointer', ['pointer', 'pointer']],
  GetStringTensorDataLength: [53, 'pointer', ['pointer', 'pointer']],
  GetStringTensorContent: [54, 'pointer', ['pointer', 'pointer', 'size', 'pointer', 'size']],
  CastTypeInfoToTensorInfo: [55, 'pointer', ['pointer', 'pointer']],
  GetOnnxTypeFromTypeInfo: [56, 'pointer', ['pointer', 'pointer']],
  GetTensorElementType: [60, 'pointer', ['pointer', 'pointer']],
  GetDimensionsCount: [61, 'pointer', ['pointer', 'pointer']],
  GetDimensions: [62, 'pointer', ['pointer', 'pointer', 'size']],
  GetSymbolicDimensions: [63, 'pointer', ['pointer', 'pointer', 'size']],
  GetTensorTypeAndShape: [65, 'pointer', ['pointer', 'pointer']],
  CreateCpuMemoryInfo: [69, 'pointer', ['int32', 'int32', 'pointer']],
  AllocatorFree: [76, 'pointer', ['pointer', 'pointer']],
  GetAllocatorWithDefaultOptions: [78, 'pointer', ['pointer']],
  GetValue: [80, 'pointer', ['pointer', 'int32', 'pointer', 'pointer']],
  GetValueCount: [81, 'pointer', ['pointer', 'pointer']],
  ReleaseStatus: [93, 'void', ['pointer']],
  ReleaseSession: [95, 'void', ['pointer']],
  ReleaseValue: [96, 'void', ['pointer']],
  ReleaseRunOptions: [97, 'void', ['pointer']],
  ReleaseTypeInfo: [98, 'void', ['pointer']],
  ReleaseTensorTypeAndShapeInfo: [99, 'void', ['pointer']],
  ReleaseSessionOptions: [100, 'void', ['pointer']],
  CastTypeInfoToMapTypeInfo: [103, 'pointer', ['pointer', 'pointer']],
  CastTypeInfoToSequenceTypeInfo: [104, 'pointer', ['pointer', 'pointer']],
  GetMapValueType: [106, 'pointer', ['pointer', 'pointer']],
  GetSequenceElementType: [107, 'pointer', ['pointer', 'pointer']],
  AddSessionConfigEntry: [130, 'pointer', ['pointer', 'string', 'string']],
  HasValue: [192, 'pointer', ['pointer', 'pointer']],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [204, 'pointer', ['pointer', 'pointer']],
  CreateCUDAProviderOptions: [205, 'pointer', ['pointer']],
  ReleaseCUDAProviderOptions: [208, 'void', ['pointer']],
  CastTypeInfoToOptionalTypeInfo: [250, 'pointer', ['pointer', 'pointer']],
  GetOptionalContainedTypeInfo: [251, 'pointer', ['pointer', 'pointer']],
  GetResizedStringTensorElementBuffer: [252, 'pointer', ['pointer', 'size', 'size', 'pointer']],
  TensorTypeAndShape_HasShape: [390, 'bool', ['pointer']],
} as const satisfies Readonly<Record<string, readonly [place: number, result: CType, args: readonly CType[]]>>;

type Functions = typeof FUNCTIONS;

export type OrtApi = { readonly [N in keyof Functions]: NativeFunction<Functions[N][1], Functions[N][2]> };

/** Version of the struct asked for: the first that has all of FUNCTIONS. Later libraries serve it too. */
const API_VERSION = 24;

/** `struct OrtApiBase { const OrtApi *GetApi(uint32_t); const char *GetVersionString(void); }`; a NULL from GetApi: the library is too old. */
export function openOrtApi(libraryPath: string): { readonly api: OrtApi; readonly version: string } {
  const base = required(openLibrary(libraryPath).symbol('OrtGetApiBase', 'pointer', [])(), 'OrtGetApiBase');
  const [getApi, getVersion] = readPointerTable(base, 2);
  const version = functionAt(required(getVersion, 'GetVersionString'), 'string', [])() ?? 'unknown';
  const struct = functionAt(required(getApi, 'GetApi'), 'pointer', ['uint32'])(API_VERSION);
  if (struct === null) throw new Error(`ONNX Runtime ${version} is too old: expected API version ${API_VERSION}`);
  const entries = Object.entries(FUNCTIONS);
  const addresses = readPointerTable(struct, 1 + entries.reduce((last, [, [place]]) => Math.max(last, place), 0));
  const functions = entries.map(([name, [place, result, args]]) => [
    name,
    functionAt(required(addresses[place], name), result, args as readonly CType[]),
  ]);
  return { api: Object.fromEntries(functions) as OrtApi, version };
}

function required(pointer: Pointer | null | undefined, name: string): Pointer {
  if (pointer === null || pointer === undefined) throw new Error(`ONNX Runtime's library has no ${name}`);
  return pointer;
}
