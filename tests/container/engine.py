"""The image, made by buildah, and containers of it, run by runc as Docker runs them."""

import json
import re
import shlex
import shutil
import subprocess
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from tests.support import ROOT, Process

BASE = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)[-1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
NUMBERS = count(1)
NEEDED = ("buildah", "runc", "debootstrap", "strip")


def run(*command: str | Path) -> str:
    """Run a command and return what it printed; what it complains of is in the assertion."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command}\n{result.stdout[-4000:]}\n{result.stderr[-4000:]}"
    return result.stdout


def python() -> str | None:
    """Return a Python 3.13 of this machine, to stand in for the one of the base image."""
    installed = [*sorted(Path.home().glob(".pyenv/versions/3.13.*/bin/python3.13")), "python3.13"]
    for candidate in map(str, installed):
        found = shutil.which(candidate)
        if (
            found
            and not subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode
        ):
            return found
    return None


class Image:
    """The image of the Dockerfile, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Build nothing yet."""
        self.folder = folder
        self.config: dict[str, Any] = {}
        self.rootfs = Path()

    def buildah(self, *words: str | Path) -> str:
        """Run buildah on the images in this folder."""
        store = ["--root", self.folder / "store", "--runroot", self.folder / "run"]
        return run("buildah", *store, "--storage-driver", "vfs", *words).strip()

    def make_base(self) -> None:
        """Make what the Dockerfile begins with, under the name that it asks for."""
        base = self.folder / "base"
        run(ROOT / "tests" / "container" / "base.sh", base, python() or "")
        container = self.buildah("from", "scratch")
        self.buildah("add", container, base, "/")
        path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.buildah("config", "--env", path, container)
        name = f"docker.io/library/{BASE}"
        self.buildah("commit", "--quiet", "--rm", "--format", "docker", container, name)
        shutil.rmtree(base)

    def build(self, context: Path) -> None:
        """Build the image from `context`, with the package index that this machine uses."""
        pip = self.folder / "pip.conf"
        listed = run("pip", "config", "list").splitlines()
        values = [line.removeprefix("global.").replace("'", "") for line in listed]
        index = [line for line in values if re.match(r"(extra-)?index-url=https?:", line)]
        pip.write_text("\n".join(["[global]", "timeout=180", *index, ""]), "utf-8")
        volumes = ["--volume", f"{pip}:/etc/pip.conf:ro"]
        volumes += ["--volume", "/etc/ssl/certs:/etc/ssl/certs:ro"]
        how = ["--isolation", "chroot", "--format", "docker", "--pull-never"]
        self.buildah("build", *how, *volumes, "--tag", "stockpot", context)
        self.config = json.loads(self.buildah("inspect", "--type", "image", "stockpot"))["Docker"]
        container = self.buildah("from", "--pull-never", "localhost/stockpot")
        self.rootfs = Path(self.buildah("mount", container))

    def size_of(self, name: str) -> int:
        """Return how large an image is, in bytes."""
        entry = json.loads(self.buildah("images", "--json", name))[0]
        number, unit = entry["size"].split()
        return int(float(number) * {"MB": 1e6, "GB": 1e9}[unit])

    def remove(self) -> None:
        """Leave nothing behind."""
        self.buildah("rm", "--all")
        shutil.rmtree(self.folder)


def service(name: str) -> dict[str, Any]:
    """Return a service of docker-compose.yml, its variables as an empty environment leaves them."""
    text = json.dumps(COMPOSE["services"][name])
    return json.loads(re.sub(r"\$\{\w+(?::-([^}]*)|:?\?[^}]*)?\}", r"\1", text))


class Container(Process):
    """A service of docker-compose.yml: its command, its user, its file system, no capabilities.

    It differs in its network, which is the one of this machine, and has no limit of memory.
    """

    def __init__(
        self, image: Image, name: str, environment: dict[str, str], mounts: dict[Path, str]
    ) -> None:
        """Start it, with files and folders of this machine mounted."""
        self.name = f"stockpot-{name}-{next(NUMBERS)}"
        self.bundle = image.folder / self.name
        self._state = ["runc", "--root", str(image.folder / "runc")]
        self.bundle.mkdir()
        run("runc", "spec", "--bundle", self.bundle)
        file = self.bundle / "config.json"
        spec = json.loads(file.read_text("utf-8"))
        wanted = service(name)
        config = image.config["config"]
        variables = wanted["environment"] | environment
        user, group = config["User"].split(":")
        spec["root"] = {"path": str(image.rootfs), "readonly": wanted["read_only"]}
        spec["process"] |= {
            "terminal": False,
            "user": {"uid": int(user), "gid": int(group)},
            "args": shlex.split(wanted["command"]) if "command" in wanted else config["Cmd"],
            "env": [*config["Env"], *(f"{key}={value}" for key, value in variables.items())],
            "cwd": config["WorkingDir"],
            "capabilities": {},
        }
        spaces = spec["linux"]["namespaces"]
        spec["linux"]["namespaces"] = [space for space in spaces if space["type"] != "network"]
        spec["mounts"] += [*map(tmpfs, wanted["tmpfs"]), *map(bind, mounts.items())]
        file.write_text(json.dumps(spec), "utf-8")
        super().__init__([*self._state, "run", "--bundle", str(self.bundle), self.name])

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as its health check is."""
        words = [*self._state, "exec", self.name, *command]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    def kill(self) -> None:
        """End it at once, if it runs."""
        words = [*self._state, "delete", "--force", self.name]
        subprocess.run(words, capture_output=True, check=False)
        super().kill()


def tmpfs(line: str) -> dict[str, Any]:
    """Return what runc calls a line of `tmpfs` of Compose."""
    path, _, options = line.partition(":")
    given = options.split(",") if options else ["mode=1777"]
    options = ["nosuid", "nodev", "noexec", *given]
    return {"destination": path, "type": "tmpfs", "source": "tmpfs", "options": options}


def bind(pair: tuple[Path, str]) -> dict[str, Any]:
    """Return what runc calls a file or folder of this machine at another place."""
    source, destination = pair
    options = ["bind", "ro"]
    return {"destination": destination, "type": "bind", "source": str(source), "options": options}
