import { statusCode, type MessageSchema } from '../../codec/index.ts';
import { ServingError } from '../../core/errors.ts';
import { loadDescriptors, type Descriptors } from './descriptors.ts';
import { decodeRequest, encodeFrame } from './messages.ts';
import type { StreamListener, StreamSink } from './stream-call.ts';

/** The same protocol under two names. */
export const REFLECTION_SERVICES = ['grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection'] as const;
export const REFLECTION_METHOD = 'ServerReflectionInfo';

const REQUEST: MessageSchema = {
  host: { number: 1, kind: 'string' },
  file_by_filename: { number: 3, kind: 'string', isOneof: true },
  file_containing_symbol: { number: 4, kind: 'string', isOneof: true },
  file_containing_extension: {
    number: 5,
    kind: 'message',
    of: { containing_type: { number: 1, kind: 'string' }, extension_number: { number: 2, kind: 'number' } },
  },
  all_extension_numbers_of_type: { number: 6, kind: 'string', isOneof: true },
  list_services: { number: 7, kind: 'string', isOneof: true },
};

const RESPONSE: MessageSchema = {
  valid_host: { number: 1, kind: 'string' },
  /** The request as it came. */
  original_request: { number: 2, kind: 'bytes' },
  file_descriptor_response: { number: 4, kind: 'message', of: { file_descriptor_proto: { number: 1, kind: 'bytesList' } } },
  list_services_response: {
    number: 6,
    kind: 'message',
    of: { service: { number: 1, kind: 'messages', of: { name: { number: 1, kind: 'string' } } } },
  },
  error_response: {
    number: 7,
    kind: 'message',
    of: { error_code: { number: 1, kind: 'number' }, error_message: { number: 2, kind: 'string' } },
  },
};

interface Question {
  readonly host: string;
  readonly file_by_filename?: string;
  readonly file_containing_symbol?: string;
  readonly file_containing_extension?: { readonly containing_type: string };
  readonly all_extension_numbers_of_type?: string;
  readonly list_services?: string;
}

/**
 * Server reflection for grpcurl and its like. Its clients may keep a stream open for hours; `close` ends them all, so that they do not hold up a shutdown.
 */
export class ReflectionService {
  readonly #open = new Set<StreamSink>();
  #isClosed = false;

  serve(sink: StreamSink): StreamListener {
    this.#open.add(sink);
    return {
      message: (bytes) => {
        if (this.#isClosed) end(sink);
        const question = decodeRequest(REQUEST, bytes, sink) as Question;
        sink.send(encodeFrame(RESPONSE, { valid_host: question.host, original_request: bytes, ...answer(question, loadDescriptors()) }));
      },
      ended: () => {
        sink.finish();
      },
      closed: () => {
        this.#open.delete(sink);
      },
    };
  }

  close(): void {
    this.#isClosed = true;
    for (const sink of this.#open) end(sink);
  }
}

/** What is not found is an answer in the stream, not the end of it. */
function answer(question: Question, { services, byName, bySymbol }: Descriptors): object {
  if (question.list_services !== undefined) return { list_services_response: { service: services.map((name) => ({ name })) } };
  if (question.file_by_filename !== undefined) return fileAnswer(byName.get(question.file_by_filename), 'file', question.file_by_filename);
  if (question.file_containing_symbol !== undefined) {
    return fileAnswer(bySymbol.get(question.file_containing_symbol), 'symbol', question.file_containing_symbol);
  }
  // Proto3 has no extensions but of options, and we have none of those.
  const type = question.all_extension_numbers_of_type ?? question.file_containing_extension?.containing_type;
  if (type !== undefined) return notFound('extensions of', type);
  return { error_response: { error_code: statusCode('UNIMPLEMENTED'), error_message: 'Cannot answer: the request asks nothing' } };
}

function fileAnswer(file: Uint8Array | undefined, what: string, name: string): object {
  return file === undefined ? notFound(what, name) : { file_descriptor_response: { file_descriptor_proto: [file] } };
}

function notFound(what: string, name: string): object {
  return { error_response: { error_code: statusCode('NOT_FOUND'), error_message: `No ${what} ${name.slice(0, 100)} here` } };
}

function end(sink: StreamSink): void {
  sink.finish(new ServingError('server_not_ready', 'Server is shutting down'));
}
