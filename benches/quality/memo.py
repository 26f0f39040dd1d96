"""Answers that the model has given, kept in SQLite: the same question is computed once, whoever asks."""

import json
import sqlite3
import threading

from tasks import digest


class Memo:
    def __init__(self, path):
        self.lock = threading.Lock()
        self.base = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
        self.base.execute("PRAGMA journal_mode = WAL")
        self.base.execute("PRAGMA synchronous = NORMAL")
        self.base.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID")

    def get(self, question):
        with self.lock:
            found = self.base.execute("SELECT answer FROM answers WHERE key = ?", (self.key(question),)).fetchone()
        return json.loads(found[0]) if found else None

    def put(self, question, answer):
        with self.lock:
            row = (self.key(question), json.dumps(answer))
            self.base.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", row)

    @staticmethod
    def key(question):
        return digest("answer/1", json.dumps(question, sort_keys=True))
