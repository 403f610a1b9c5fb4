"""A program that answers requests, one line each: see README.md."""

import os
import select
import subprocess

PATIENCE = 600  # seconds for one answer


class Refused(Exception):
    """The program says that it cannot."""


class Worker:
    def __init__(self, name, command, environment):
        self.name, self.command = name, command
        self.environment = {**os.environ, **environment}
        self.process, self.rest = None, b""
        self.greeting = self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                                        env=self.environment)
        self.rest = b""
        return self.answer()

    def ask(self, *words):
        if self.process.poll() is not None:
            self.start()
        try:
            self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())
        except OSError as error:
            raise self.died() from error
        return self.answer()

    def died(self):
        self.process.kill()
        return Refused(f"{self.name} died (exit code {self.process.wait()})")

    def answer(self):
        output = self.process.stdout
        while b"\n" not in self.rest:
            if not select.select([output], [], [], PATIENCE)[0]:
                self.process.kill()
                self.process.wait()
                raise Refused(f"{self.name} did not answer for {PATIENCE} s")
            part = os.read(output.fileno(), 1 << 16)
            if not part:
                raise self.died()
            self.rest += part
        line, self.rest = self.rest.split(b"\n", 1)
        verdict, _, text = line.decode(errors="replace").partition(" ")
        if verdict != "ok":
            raise Refused(text)
        return text

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
