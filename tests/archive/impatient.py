"""Azure's storage without the minutes of patience that its library has; it takes none by options
where the storage is named by a connection string."""

from typing import Any

from azure.storage.blob import BlobServiceClient
from storages.backends.azure_storage import AzureStorage


class ImpatientAzure(AzureStorage):
    def _get_service_client(self) -> Any:
        return BlobServiceClient.from_connection_string(self.connection_string, retry_total=0)
