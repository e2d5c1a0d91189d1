# SPDX-License-Identifier: Apache-2.0
"""One transfer by boto3, for bench_transfer.py: bench_boto.py HOW up FILE BUCKET
KEY, or HOW down BUCKET KEY FILE.  HOW is classic or crt.  Prints its seconds,
{"wall", "cpu"}, without what Python and the libraries take to start."""

import json
import os
import sys
import time

import boto3
import botocore.session
from botocore.config import Config

REGION = "us-east-1"


def classic(endpoint):
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        config=Config(s3={"addressing_style": "path"}),
    )
    return client.upload_file, client.download_file, lambda: None


def crt(endpoint):
    # Imported here: only a Python that has awscrt can.
    import s3transfer.crt as crt_client  # noqa: PLC0415

    session = botocore.session.get_session()
    wrapper = crt_client.BotocoreCRTCredentialsWrapper(session.get_credentials())
    client = crt_client.create_s3_crt_client(
        REGION,
        crt_credentials_provider=wrapper.to_crt_credentials_provider(),
        use_ssl=False,
    )
    serializer = crt_client.BotocoreCRTRequestSerializer(
        session,
        {
            "endpoint_url": endpoint,
            "region_name": REGION,
            "config": Config(s3={"addressing_style": "path"}),
        },
    )
    manager = crt_client.CRTTransferManager(client, serializer)

    def up(path, bucket, key):
        manager.upload(path, bucket, key).result()

    def down(bucket, key, path):
        manager.download(bucket, key, path).result()

    return up, down, manager.shutdown


def main():
    how, way, *words = sys.argv[1:]
    make = {"classic": classic, "crt": crt}[how]
    up, down, end = make(os.environ["BENCH_ENDPOINT"])
    before, began = sum(os.times()[:2]), time.monotonic()
    if way == "up":
        path, bucket, key = words
        up(path, bucket, key)
    else:
        bucket, key, path = words
        down(bucket, key, path)
    print(
        json.dumps(
            {
                "wall": time.monotonic() - began,
                "cpu": sum(os.times()[:2]) - before,
            }
        )
    )
    end()


main()
