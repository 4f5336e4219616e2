"""Credentials for S3 that obstore does not find by itself: profiles of `~/.aws`, which boto3 reads."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foresight_cache.errors import UsageError
from foresight_cache.format.stores.store_settings import StoreSettings

_FOUND_BY_OBSTORE = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)


def credential_provider(settings: StoreSettings, environment: Mapping[str, str] = os.environ) -> Any | None:
    """Returns what gives credentials of a profile, and sets its region; None where obstore finds others by itself.

    Raises `UsageError` where a profile is asked for that cannot be read, or there are no credentials at all.
    """
    if settings.service != "s3" or settings.config.keys() & {"access_key_id", "skip_signature"}:
        return None
    if settings.profile is None and any(map(environment.get, _FOUND_BY_OBSTORE)):
        return None
    if (settings.profile or _has_profiles(environment)) and (provider := _of_profile(settings)):
        return provider
    if environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        raise UsageError(
            "no credentials for S3 were found, neither in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor in a profile "
            "of ~/.aws; set them, or AWS_SKIP_SIGNATURE=true for a public bucket"
        )
    return None  # those of a machine in the cloud


def _has_profiles(environment: Mapping[str, str]) -> bool:
    names = {"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials", "AWS_CONFIG_FILE": "~/.aws/config"}
    return any(Path(environment.get(name) or default).expanduser().is_file() for name, default in names.items())


def _of_profile(settings: StoreSettings) -> Any | None:
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        if settings.profile is None:
            return None
        raise UsageError(
            f"the profile {settings.profile!r} of ~/.aws can be read by boto3 only, which is not installed; install it "
            "with: pip install boto3, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from None
    try:
        session = boto3.Session(profile_name=settings.profile)
        provider = Boto3CredentialProvider(session) if session.get_credentials() else None
    except BotoCoreError as error:
        raise UsageError(f"the profile {settings.profile or 'default'!r} of ~/.aws cannot be used: {error}") from None
    if provider and session.region_name:
        settings.config.setdefault("region", session.region_name)
    return provider
