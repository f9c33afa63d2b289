"""A published store on Azure's blob store, or an emulator of it.

usage: open_azure.py create ENDPOINT CONTAINER
       open_azure.py rows ENDPOINT CONTAINER FOLDER

`create` makes the container. `rows` prints, as JSON, the rows of all Parquet files below FOLDER as Polars reads them, ordered by experiment and time. Credentials are
in the environment.
"""
import base64
import hashlib
import hmac
import json
import os
import sys
import urllib.request
from email.utils import formatdate

ACCOUNT, KEY = os.environ["AZURE_STORAGE_ACCOUNT_NAME"], os.environ["AZURE_STORAGE_ACCOUNT_KEY"]


def create(endpoint, container):
    # https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key: eleven headers that are empty here come first.
    date, version = formatdate(usegmt=True), "2021-08-06"
    signed = "PUT\n" + "\n" * 11 + f"x-ms-date:{date}\nx-ms-version:{version}\n/{ACCOUNT}/{ACCOUNT}/{container}\nrestype:container"
    signature = base64.b64encode(hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()).decode()
    request = urllib.request.Request(f"{endpoint}/{container}?restype=container", method="PUT", headers={
        "x-ms-date": date, "x-ms-version": version, "Authorization": f"SharedKey {ACCOUNT}:{signature}", "Content-Length": "0",
    })
    urllib.request.urlopen(request).close()


def rows(endpoint, container, folder):
    import polars

    options = {
        "azure_storage_account_name": ACCOUNT, "azure_storage_account_key": KEY,
        "azure_storage_endpoint": endpoint, "azure_allow_http": "true",
    }
    frame = polars.scan_parquet(
        f"az://{container}/{folder}/", storage_options=options, hive_partitioning=True, try_parse_hive_dates=False,
    )
    found = frame.select(polars.col("experiment").cast(polars.String), "timestamp", "x").sort("experiment", "timestamp")
    print(json.dumps(found.collect().rows()))


what, *args = sys.argv[1:]
{"create": create, "rows": rows}[what](*args)
