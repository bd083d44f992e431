"""Fills a bucket with the loads of `npm run bench -- download` and prints a signed URL of every object, by load, as JSON."""

import json
import random
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

LOADS = json.loads(sys.argv[1])
s3 = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
s3.create_bucket(Bucket="models")
block = random.Random(1).randbytes(32 << 20)
urls = {}
for name, load in LOADS.items():
    keys = [f"{name}/{index:05}.bin" for index in range(load["files"])]

    def put(key):
        with tempfile.TemporaryFile() as file:
            offset = 4096 * int(key[-9:-4])
            for start in range(0, load["bytes"], len(block)):
                piece = block[offset % len(block) :] + block[: offset % len(block)]
                file.write(piece[: min(len(piece), load["bytes"] - start)])
            file.seek(0)
            s3.upload_fileobj(file, "models", key)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, keys))
    urls[name] = [s3.generate_presigned_url("get_object", {"Bucket": "models", "Key": key}, 3600) for key in keys]
print(json.dumps(urls))
