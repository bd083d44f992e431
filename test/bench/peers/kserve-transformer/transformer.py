"""A transformer of KServe's Python SDK that changes nothing: the v2 request goes to the predictor by gRPC with raw contents."""

import argparse

import kserve
from kserve.predictor_config import PredictorConfig


class Transformer(kserve.Model):
    def __init__(self, name: str, predictor_config: PredictorConfig):
        super().__init__(name, predictor_config)
        self.ready = True

    async def preprocess(self, payload, headers=None):
        for tensor in payload.inputs:
            tensor.set_data_from_numpy(tensor.as_numpy(), binary_data=True)
        return payload

    async def postprocess(self, response, headers=None, response_headers=None):
        return response


parser = argparse.ArgumentParser(parents=[kserve.model_server.parser])
args, _ = parser.parse_known_args()

if __name__ == "__main__":
    config = PredictorConfig(args.predictor_host, args.predictor_protocol, predictor_request_timeout_seconds=60)
    kserve.ModelServer().start([Transformer(args.model_name, config)])
