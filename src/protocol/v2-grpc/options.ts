import { bytes, defineSection, type OptionsOf } from '../../options/index.ts';

/** The length of a gRPC message is a 32-bit number. */
const LONGEST_MESSAGE = 2 ** 32 - 1;

/** Both as KServe: its names and its 8 MiB. */
export const grpcSection = defineSection({
  title: 'gRPC',
  options: {
    maxSendBytes: {
      name: 'grpc_max_send_message_length',
      schema: bytes(-1, LONGEST_MESSAGE),
      default: '8MiB',
      doc: 'largest gRPC message to send, -1 for no limit',
    },
    maxReceiveBytes: {
      name: 'grpc_max_receive_message_length',
      schema: bytes(-1, LONGEST_MESSAGE),
      default: '8MiB',
      doc: 'largest gRPC message to receive, after inflating, -1 for no limit',
    },
  },
});

export type GrpcSettings = OptionsOf<typeof grpcSection>;
