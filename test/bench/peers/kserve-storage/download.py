"""What KServe's storage initializer runs."""

import sys

from kserve_storage import Storage

Storage.download(sys.argv[1], sys.argv[2])
