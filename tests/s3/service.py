"""A real S3 service in this process, and hands to do things to it from the test: one command a line, one answer a line."""

import json
import sys
import urllib.request

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "metrics"

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"


def client(service, key="test", secret="test"):
    return boto3.client(
        service, endpoint_url=url, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret
    )


s3 = client("s3")
s3.create_bucket(Bucket=BUCKET)


def names():
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def list_names():
    return names()


def drop_bucket():
    for name in names():
        s3.delete_object(Bucket=BUCKET, Key=name)
    s3.delete_bucket(Bucket=BUCKET)
    return True


def enforce():
    """From now on keys and permissions are checked; answers with a pair that may use the bucket."""
    iam = client("iam")
    iam.create_user(UserName="barograph")
    keys = iam.create_access_key(UserName="barograph")["AccessKey"]
    rule = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    iam.put_user_policy(UserName="barograph", PolicyName="bucket", PolicyDocument=policy)
    # As bytes, or the service reads them as a form.
    headers = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(f"{url}/moto-api/reset-auth", data=b"0", method="POST", headers=headers)
    urllib.request.urlopen(request).read()
    global s3
    s3 = client("s3", keys["AccessKeyId"], keys["SecretAccessKey"])
    return [keys["AccessKeyId"], keys["SecretAccessKey"]]


def rows(prefix):
    """Every row of the blocks in the bucket, as pyarrow reads them straight from there."""
    import pyarrow.dataset as ds
    from pyarrow.fs import S3FileSystem

    there = S3FileSystem(
        access_key="test", secret_key="test", endpoint_override=f"{host}:{port}", scheme="http", region="us-east-1"
    )
    table = ds.dataset(f"{BUCKET}/{prefix}/blocks", filesystem=there, partitioning="hive").to_table()
    return sorted(zip(table["timestamp"].cast("int64").to_pylist(), table["value"].to_pylist()))


print(json.dumps(url), flush=True)
commands = {"list": list_names, "drop_bucket": drop_bucket, "enforce": enforce, "rows": rows, "stop": server.stop}
for line in sys.stdin:
    name, *arguments = line.split()
    print(json.dumps(commands[name](*arguments)), flush=True)
