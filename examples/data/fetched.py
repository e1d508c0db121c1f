"""Files that no package contains, each downloaded once and verified.

They are kept in the folder that JAXNN_DATA names, or else in the cache folder of the user. Without
a network, put the files there by hand.
"""

import hashlib
import os
import re
import zipfile
from pathlib import Path

from examples.data.split import need

GITHUB = "https://raw.githubusercontent.com"
MULTI30K = f"{GITHUB}/multi30k/dataset/master/data/task1/raw"
DEEPCHEM = f"{GITHUB}/deepchem/deepchem/master/datasets"
PLANETOID = f"{GITHUB}/tkipf/gcn/master/gcn/data"
HOMES = {
    "hutto_ICWSM_2014.tar.gz": (
        f"{GITHUB}/cjhutto/vaderSentiment/master/additional_resources/hutto_ICWSM_2014.tar.gz",
        "d5bb07d87474b3eb8d30b4deccbc23f19d742a6c5718fbacc65485b70b95c5fa",
    ),
    "tinyshakespeare.txt": (
        f"{GITHUB}/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
    "multi30k/test_2016_flickr.de.gz": (
        f"{MULTI30K}/test_2016_flickr.de.gz",
        "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    ),
    "multi30k/test_2016_flickr.en.gz": (
        f"{MULTI30K}/test_2016_flickr.en.gz",
        "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    ),
    "multi30k/train.de.gz": (
        f"{MULTI30K}/train.de.gz",
        "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    ),
    "multi30k/train.en.gz": (
        f"{MULTI30K}/train.en.gz",
        "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    ),
    "multi30k/val.de.gz": (
        f"{MULTI30K}/val.de.gz",
        "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    ),
    "multi30k/val.en.gz": (
        f"{MULTI30K}/val.en.gz",
        "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    ),
    "delaney-processed.csv": (
        f"{DEEPCHEM}/delaney-processed.csv",
        "8c06a76f0c6487d29ab0f903e6a7a7139f189ab3c1178f159c8be8964602f189",
    ),
    "tox21.csv.gz": (
        f"{DEEPCHEM}/tox21.csv.gz",
        "48b34e4e59a2bae6f95734cd206c1869ab355f50a5e50bb7371a21f861d5e297",
    ),
    "planetoid/ind.cora.allx": (
        f"{PLANETOID}/ind.cora.allx",
        "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
    ),
    "planetoid/ind.cora.ally": (
        f"{PLANETOID}/ind.cora.ally",
        "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
    ),
    "planetoid/ind.cora.graph": (
        f"{PLANETOID}/ind.cora.graph",
        "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
    ),
    "planetoid/ind.cora.test.index": (
        f"{PLANETOID}/ind.cora.test.index",
        "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
    ),
    "planetoid/ind.cora.tx": (
        f"{PLANETOID}/ind.cora.tx",
        "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
    ),
    "planetoid/ind.cora.ty": (
        f"{PLANETOID}/ind.cora.ty",
        "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
    ),
    "planetoid/ind.cora.x": (
        f"{PLANETOID}/ind.cora.x",
        "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
    ),
    "planetoid/ind.cora.y": (
        f"{PLANETOID}/ind.cora.y",
        "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
    ),
    # The archive differs at each download, so its members are verified, by the digest in MEMBERS.
    "free-spoken-digit-dataset.zip": (
        "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/heads/master.zip",
        None,
    ),
}
MEMBERS = {
    "free-spoken-digit-dataset.zip": (
        r"(?:.*/)?(recordings/[^/]+\.wav)",
        "954ea1cf5c26624532853cc6ef905de1efeb89365398c0ce58fe829927db0667",
    ),
}


def fetched(name: str) -> Path:
    """The path of a file of HOMES, which is downloaded if it is absent.

    Raises:
      ImportError: if pooch is absent, with the command that installs it.
      OSError: if the file is damaged or cannot be downloaded, with its name, its URL and
        JAXNN_DATA.
    """
    url, digest = HOMES[name]
    pooch = need("pooch")
    path = Path(os.environ.get("JAXNN_DATA") or pooch.os_cache("jaxnn")) / name
    known = None if digest is None else f"sha256:{digest}"
    mend = f"put {url} there as {name}, or set JAXNN_DATA to the folder that holds {name}."
    if path.exists():
        if digest is not None and pooch.file_hash(path) != digest:
            raise OSError(f"{path} is damaged, its SHA-256 is not {digest}: {mend}")
        if name in MEMBERS and members_digest(path, MEMBERS[name][0]) != MEMBERS[name][1]:
            raise OSError(f"{path} is damaged, or holds other files than it should: {mend}")
        return path
    try:
        found = Path(pooch.retrieve(url, known, path.name, path.parent))
    except Exception as error:  # each of pooch's transports raises its own types
        why = type(error).__name__
        raise OSError(f"{path} is absent and could not be downloaded ({why}): {mend}") from error
    if name in MEMBERS and members_digest(found, MEMBERS[name][0]) != MEMBERS[name][1]:
        found.unlink()  # for example an error page
        raise OSError(f"{url} is not {name} and was not kept: {mend}")
    return found


def members_digest(path: Path, pattern: str) -> str | None:
    """The SHA-256 of the members of an archive whose names match; None if it is not an archive.

    It digests, of each member in the order of names, its name, a zero byte and its SHA-256.
    """
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as archive:
            named = {
                match[1]: name
                for name in archive.namelist()
                if (match := re.fullmatch(pattern, name))
            }
            for short in sorted(named):
                member = hashlib.sha256(archive.read(named[short])).digest()
                digest.update(short.encode() + b"\0" + member)
    except (zipfile.BadZipFile, OSError, EOFError):
        return None
    return digest.hexdigest()
