"""Runs the longsight binary as a user would, alone or under mpirun, and looks at what it leaves behind."""
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import uuid

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
MARK = "LONGSIGHT_TEST_JOB"


class Result:
    def __init__(self, code, stdout, stderr, survivors):
        self.code, self.stdout, self.stderr, self.survivors = code, stdout, stderr, survivors

    def errors(self):
        """What longsight itself says went wrong, without the rank in front."""
        return [line.split("error: ", 1)[1] for line in self.stderr.splitlines()
                if line.startswith("error: ") or (line.startswith("[rank ") and "] error: " in line)]


def processes_of(mark):
    """Processes that carry the mark in their environment, zombies not counted."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environment:
                if f"{MARK}={mark}".encode() in environment.read().split(b"\0"):
                    found.append(int(pid))
        except OSError:
            pass  # ended meanwhile, or not ours to read
    return found


def change_memory(pid, values, begin):
    """Every copy of the values in the memory of the process, looked at once, begins with `begin` instead. Returns how many there were."""
    found = 0
    piece = 1 << 24
    with open(f"/proc/{pid}/maps") as file:
        maps = file.read().splitlines()  # at once: the process maps and unmaps while it is looked at
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        for words in map(str.split, maps):
            if not words[1].startswith("rw") or words[-1].startswith("/"):
                continue
            start, end = (int(word, 16) for word in words[0].split("-"))
            # Pieces overlap by what is looked for; one that has been unmapped meanwhile does not hide the rest.
            for at in range(start, end, piece):
                try:
                    memory.seek(at)
                    content = memory.read(min(piece + len(values) - 1, end - at))
                    hit = content.find(values)
                    while hit >= 0:
                        memory.seek(at + hit)
                        memory.write(begin)
                        found += 1
                        hit = content.find(values, hit + 1)
                except OSError:
                    continue
    return found


def run_job(command, folder, seconds, stdout=subprocess.PIPE):
    """Fails the test if the job does not end by itself within `seconds`, or a process of it is left."""
    mark = uuid.uuid4().hex
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, MARK: mark}, stdin=subprocess.DEVNULL,
                               stdout=stdout, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        out, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        for pid in processes_of(mark):
            os.kill(pid, signal.SIGKILL)
        _, stderr = process.communicate()
        raise AssertionError(f"still running after {seconds} s: {' '.join(command)}\n{stderr}") from None
    deadline = time.monotonic() + 2
    while (survivors := processes_of(mark)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return Result(process.returncode, out, stderr, survivors)


class Launch:
    """A job that is under way."""

    def __init__(self, test, arguments, ranks, environment, command=None):
        self.test, self.mark = test, uuid.uuid4().hex
        if command is None:
            command = [*([test.mpirun, "-n", str(ranks)] if ranks > 1 else []), test.binary, "train", *arguments]
        elif command == "run.sh":
            command = [os.path.join(ROOT, "launch", "run.sh"), "-n", str(ranks), *arguments]
            environment = {"LONGSIGHT_BINARY": test.binary, **environment}
        self.process = subprocess.Popen(command, cwd=test.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, start_new_session=True,
                                        env={**os.environ, **environment, MARK: self.mark})
        self.lines = []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        with self.process.stderr as lines:
            self.lines.extend(lines)

    def ranks(self):
        """Their processes: mpirun carries the mark too."""
        found = []
        for pid in processes_of(self.mark):
            try:
                if os.readlink(f"/proc/{pid}/exe") == os.path.realpath(self.test.binary):
                    found.append(pid)
            except OSError:
                pass
        return found

    def by_rank(self):
        """The process of each rank, by its number."""
        found = {}
        for pid in self.ranks():
            try:
                with open(f"/proc/{pid}/environ", "rb") as environment:
                    found[int(re.search(rb"OMPI_COMM_WORLD_RANK=(\d+)", environment.read())[1])] = pid
            except OSError:
                pass
        return found

    def listening(self):
        """Ranks that have come as far as to hold a signal back."""
        found = []
        for pid in self.ranks():
            try:
                with open(f"/proc/{pid}/status", encoding="utf-8") as status:
                    held = int(re.search(r"SigBlk:\s*(\w+)", status.read())[1], 16)
                    found += [pid] if held >> (signal.SIGUSR1 - 1) & 1 else []
            except OSError:
                pass
        return found

    def kill(self, pids, kind=signal.SIGKILL):
        for pid in pids:
            try:
                os.kill(pid, kind)
            except ProcessLookupError:
                pass

    def wait(self, seconds=None):
        try:
            code = self.process.wait(seconds or self.test.seconds)
        except subprocess.TimeoutExpired:
            self.kill(processes_of(self.mark))
            raise AssertionError("still running\n" + "".join(self.lines)) from None
        self.reader.join()
        deadline = time.monotonic() + 5
        while processes_of(self.mark) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.test.assertEqual(processes_of(self.mark), [], "processes of the job are left")
        return code

    def stderr(self):
        return "".join(self.lines)


def tree(folder):
    """Path and content of every file, and every folder; what links lead to is not entered, pipes are not read."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in folders:
            found[os.path.join(place, name)] = None
        for name in files:
            path = os.path.join(place, name)
            if not os.path.isfile(path):
                found[path] = None
                continue
            with open(path, "rb") as file:
                found[path] = file.read()
    return found


class JobTest(unittest.TestCase):
    """Every test has an empty working directory with links to the configs and goldens of the repository."""
    seconds = float(os.environ.get("LONGSIGHT_TEST_SECONDS", 5))
    binary = os.environ.get("LONGSIGHT_BINARY", os.path.join(ROOT, "build", "host", "longsight"))
    mpirun = os.environ.get("LONGSIGHT_MPIRUN", "mpirun")

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="longsight-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        os.symlink(os.path.join(ROOT, "configs"), self.path("configs"))
        os.symlink(os.path.join(ROOT, "tests", "goldens"), self.path("goldens"))

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, content):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return name

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def copy(self, source, name):
        """Of a folder of the repository, as plain files."""
        shutil.copytree(self.path(source), self.path(name))
        return name

    def run_longsight(self, *arguments, ranks=1, seconds=None, **options):
        command = [self.binary, *arguments]
        if ranks > 1:
            command = [self.mpirun, "-n", str(ranks), *command]
        result = run_job(command, self.folder, seconds or self.seconds, **options)
        self.assertEqual(result.survivors, [], "processes of the job are left")
        return result


class TrainingTest(JobTest):
    """Of whole runs, with one thread a rank."""
    seconds = float(os.environ.get("LONGSIGHT_TEST_SECONDS", 60))

    def setUp(self):
        super().setUp()
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def read_safetensors(data):
    """Header and the bytes behind it."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8:8 + length]), data[8 + length:]


def make_safetensors(header, body):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def tensor_bytes(data):
    """Bytes, dtype and shape of every tensor of a file, by name."""
    header, body = read_safetensors(data)
    return {name: (entry["dtype"], entry["shape"], body[slice(*entry["data_offsets"])])
            for name, entry in header.items() if name != "__metadata__"}


def pack_safetensors(tensors):
    """The reverse of tensor_bytes."""
    header, body = {}, b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    return make_safetensors(header, body)
