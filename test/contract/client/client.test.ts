import { describeClient } from './describe-client.ts';
import { startFakeGrpcServer } from './fake-grpc-server.ts';
import { startFakeRestServer } from './fake-rest-server.ts';

describeClient({ name: 'client over REST, binary', start: startFakeRestServer, binary: true });
describeClient({ name: 'client over REST, JSON', start: startFakeRestServer, binary: false });
describeClient({ name: 'client over grpc, raw', start: startFakeGrpcServer, binary: true });
describeClient({ name: 'client over grpc, typed', start: startFakeGrpcServer, binary: false });
