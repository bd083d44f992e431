"""Emulators of other clouds as their makers or their users keep them, filled through the clouds' own SDKs."""

import itertools
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from ports import free_port, wait_for

BIN = Path(sys.executable).parent
NUMBERS = itertools.count(1)


class FakeGcs:
    """fake-gcs-server. It asks nobody for credentials."""

    name = "GCS"
    changed = "not found"

    def __init__(self):
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        command = [BIN / "fake-gcs-server", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory", "-log-level", "error"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(port)
        self.client = storage.Client(project="test", credentials=AnonymousCredentials(), client_options={"api_endpoint": self.endpoint})

    def bucket(self):
        return self.client.create_bucket(f"models-{next(NUMBERS)}").name

    def put(self, bucket, objects):
        for key, body in objects.items():
            self.client.bucket(bucket).blob(key).upload_from_string(body)

    def uri(self, bucket, path):
        return f"gs://{bucket}/{path}"

    def variables(self, endpoint=None):
        return {"STORAGE_EMULATOR_HOST": endpoint or self.endpoint}

    def paged(self, path):
        """The listing's path, in pages of a hundred."""
        return f"{path}&maxResults=100" if "prefix=" in path else path

    def is_read(self, request):
        return "alt=media" in request.path


class Azurite:
    """Microsoft's emulator of Azure Blob Storage."""

    name = "Azure"
    changed = "it changed while it was downloaded (412 ConditionNotMet), download again"
    account = "devstoreaccount1"
    # Known to everybody: https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    def __init__(self, *flags, scheme="http"):
        port = free_port()
        self.endpoint = f"{scheme}://127.0.0.1:{port}"
        script = BIN.parent / "azurite/node_modules/azurite/dist/src/blob/main.js"
        command = ["node", script, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--silent", "--disableTelemetry", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(port)
        if scheme == "http":
            # The SDK is ahead of the emulator.
            self.client = BlobServiceClient(f"{self.endpoint}/{self.account}", credential=self.key, api_version="2021-12-02")

    def bucket(self):
        return self.client.create_container(f"models-{next(NUMBERS)}").container_name

    def put(self, bucket, objects):
        for key, body in objects.items():
            self.client.get_blob_client(bucket, key).upload_blob(body, overwrite=True)

    def uri(self, bucket, path):
        return f"azure://{self.account}/{bucket}/{path}"

    def signed(self, bucket, path, hours=1):
        """The URI with a signature of so many hours, in which a path may get more parameters."""
        expiry = datetime.now(timezone.utc) + timedelta(hours=hours)
        permission = ContainerSasPermissions(read=True, list=True)
        return f"{self.uri(bucket, path)}?{generate_container_sas(self.account, bucket, account_key=self.key, permission=permission, expiry=expiry)}"

    def variables(self, endpoint=None):
        return {"AZURE_STORAGE_BLOB_ENDPOINT": f"{endpoint or self.endpoint}/{self.account}", "AZURE_STORAGE_ACCESS_KEY": self.key}

    def paged(self, path):
        return f"{path}&maxresults=100" if "comp=list" in path else path

    def is_read(self, request):
        return "comp=list" not in request.path


def stop(process):
    process.kill()
    process.wait(10)
