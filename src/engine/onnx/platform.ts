/** `<project>_<format>`, as the Open Inference Protocol names it. */
export const PLATFORM = 'onnx_onnxv1';
