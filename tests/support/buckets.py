"""What lies in a bucket, put there and looked at by boto3."""

from pathlib import Path
from typing import Any


def environment(endpoint: str) -> dict[str, str]:
    """Returns the variables by which clients of S3 find a server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def client() -> Any:
    """Returns a client of the server that the environment names."""
    import boto3

    return boto3.client("s3")


def put(url: str, data: bytes) -> None:
    bucket, key = _split(url)
    client().put_object(Bucket=bucket, Key=key, Body=data)


def put_folder(folder: Path, url: str) -> None:
    """Puts every file below a folder under the same name below a URL."""
    for path in folder.rglob("*"):
        if path.is_file():
            put(f"{url}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def get(url: str) -> bytes:
    bucket, key = _split(url)
    return bytes(client().get_object(Bucket=bucket, Key=key)["Body"].read())


def remove(url: str) -> None:
    bucket, key = _split(url)
    client().delete_object(Bucket=bucket, Key=key)


def contents(url: str) -> dict[str, bytes]:
    """Returns all objects below a URL by their keys below it."""
    bucket, prefix = _split(url)
    pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
    return {key.removeprefix(f"{prefix}/"): get(f"s3://{bucket}/{key}") for key in keys}


def _split(url: str) -> tuple[str, str]:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key
