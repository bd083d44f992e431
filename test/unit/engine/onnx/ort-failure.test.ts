import { expect, test } from 'vitest';
import { loadError, OrtFailure, runError, shortenReason } from '../../../../src/engine/onnx/ort-failure.ts';

test.each([
  [2, 'anything', 'invalid_request'],
  [6, 'axis == 1 was false. Attempting to broadcast an axis by a dimension other than 1. 3 by 4', 'invalid_request'],
  [1, 'Got invalid dimensions for input: x', 'invalid_request'],
  [1, 'Failed to allocate memory for requested buffer of size 99', 'model_failed'],
  [6, 'Integer division by zero', 'model_failed'],
])('status %i "%s" of a run becomes %s', (code, message, reason) => {
  expect(runError(new OrtFailure(code, message)).reason).toBe(reason);
});

test('what was thrown stays the cause', () => {
  const thrown = new OrtFailure(1, 'x');
  expect(runError(thrown).cause).toBe(thrown);
});

test('a load error names the file once and keeps one line', () => {
  const error = loadError('/models/m.onnx', new Error('Load model from /models/m.onnx failed:Protobuf parsing failed.\nmore'));
  expect(error.reason).toBe('model_failed');
  expect(error.message).toBe('Cannot load model /models/m.onnx: Protobuf parsing failed. more');
});

test('source positions, signatures, addresses and line breaks are dropped', () => {
  const message =
    'Non-zero status code returned while running MatMul node. Status Message: /onnxruntime_src/onnxruntime/core/providers/cpu/math/matmul_helper.h:148 ' +
    'onnxruntime::common::Status onnxruntime::MatMulComputeHelper::Compute(const onnxruntime::TensorShape&, bool) left_dim == right_dim was false at 0x7ffe12345678\n';
  const reason = shortenReason(message);
  expect(reason).toBe('Non-zero status code returned while running MatMul node. Status Message: left_dim == right_dim was false at');
});

test('a reason without words, and one without end, are bounded', () => {
  expect(shortenReason(' \n ')).toBe('ONNX Runtime gives no reason');
  expect(shortenReason('x'.repeat(5000)).length).toBe(301);
});
