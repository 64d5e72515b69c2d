"""python -m unittest, in this folder, with a Python that has chdb-core: the server as a process."""

import base64
import http.client
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from urllib.parse import urlencode

SERVER = [sys.executable, "-B", str(Path(__file__).with_name("server.py"))]


def start(path: str, *options: str):
    """The process and its port, once it answers."""
    process = subprocess.Popen(
        [*SERVER, "--listen", "127.0.0.1:0", "--path", path, *options], stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if "listening on" in line:
            threading.Thread(target=_read_on, args=(process.stderr,), daemon=True).start()
            return process, int(line.split("127.0.0.1:")[1].split(",")[0])
    raise AssertionError(f"exit code {process.wait()}")


def _read_on(pipe):
    """So that the process never waits for us."""
    with pipe:
        pipe.read()


def stop(process: subprocess.Popen, number: int = signal.SIGTERM) -> int:
    process.send_signal(number)
    return process.wait(60)


class Answer:
    def __init__(self, response: http.client.HTTPResponse):
        self.status, self.headers, self.body = response.status, response.headers, response.read()
        self.code = self.headers.get("X-ClickHouse-Exception-Code")

    def __repr__(self):
        return f"{self.status} {self.code} {self.body[:500]}"


def ask(port: int, sql: str = "", body=None, method: str = "POST", headers=None, **values) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    url = "/?" + urlencode({"query": sql, **values} if sql else values)
    connection.request(method, url, body=body, headers=headers or {}, encode_chunked=not isinstance(body, (bytes, str, type(None))))
    answer = Answer(connection.getresponse())
    connection.close()
    return answer


class ServerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.process, cls.port = start(cls.folder.name, "--max-body-bytes", "10000000")
        cls.ok("CREATE DATABASE d")

    @classmethod
    def tearDownClass(cls):
        code = stop(cls.process)
        cls.folder.cleanup()
        assert code == 0, code

    @classmethod
    def ok(cls, *values, **more) -> bytes:
        answer = ask(cls.port, *values, **more)
        assert answer.status == 200 and answer.code is None, answer
        return answer.body

    def connection(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.addCleanup(connection.close)
        return connection

    def refused(self, status: int, code: int, *values, **more) -> bytes:
        answer = ask(self.port, *values, **more)
        self.assertEqual((answer.status, answer.code), (status, str(code)), answer)
        self.assertIn(f"Code: {code}. DB::Exception: ".encode(), answer.body)
        return answer.body

    def test_ping_answers_as_clickhouse(self):
        connection = self.connection()
        connection.request("GET", "/ping")
        self.assertEqual(connection.getresponse().read(), b"Ok.\n")

    def test_a_query_may_stand_in_the_url_the_body_or_both(self):
        self.assertEqual(self.ok("SELECT 1 + 1"), b"2\n")
        self.assertEqual(self.ok(body=b"SELECT 'a', 2"), b"a\t2\n")
        self.assertEqual(self.ok("SELECT", b"3"), b"3\n")
        self.assertEqual(self.ok("SELECT 4", method="GET"), b"4\n")

    def test_default_format_yields_to_the_format_of_the_query(self):
        self.assertEqual(self.ok("SELECT 1 AS x", default_format="JSONEachRow"), b'{"x":1}\n')
        answer = ask(self.port, "SELECT 1 AS x FORMAT JSONEachRow", default_format="RowBinary")
        self.assertEqual((answer.body, answer.headers["X-ClickHouse-Format"]), (b'{"x":1}\n', "JSONEachRow"))

    def test_database_and_settings_hold_for_their_request_only(self):
        self.assertEqual(self.ok("SELECT currentDatabase(), getSetting('max_threads')", database="d", max_threads=7), b"d\t7\n")
        self.assertEqual(self.ok("SELECT currentDatabase(), getSetting('max_threads') = 7"), b"default\t0\n")
        self.ok("SET max_block_size = 77")
        self.assertEqual(self.ok("SELECT getSetting('max_block_size') = 77"), b"0\n")

    def test_parameters_come_in_the_url_and_in_a_form(self):
        self.assertEqual(self.ok("SELECT {a:String}, {b:UInt8}", param_a="it's", param_b=3), b"it\\'s\t3\n")
        form = b'--x\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT {a:Array(UInt8)}\r\n--x\r\nContent-Disposition: form-data; name="param_a"\r\n\r\n[1,2]\r\n--x--\r\n'
        self.assertEqual(self.ok(body=form, headers={"Content-Type": "multipart/form-data; boundary=x"}), b"[1,2]\n")

    def test_errors_carry_number_status_and_name(self):
        self.assertIn(b"(SYNTAX_ERROR)", self.refused(400, 62, "SELEC"))
        self.refused(400, 62, " ")
        self.refused(400, 62, "SELECT 1; SELECT 2")
        self.refused(404, 60, "SELECT * FROM nowhere")
        self.refused(404, 81, "SELECT 1", database="nowhere")
        self.refused(404, 115, "SELECT 1", no_such_setting=1)
        self.refused(404, 73, "SELECT 1 FORMAT Nothing")
        self.refused(500, 395, "SELECT throwIf(1)")
        self.refused(404, 116, "SELECT 1 INTO OUTFILE 'x'")
        self.refused(400, 62, body=b"SELECT '\xff'")

    def test_what_would_change_the_answer_is_refused_not_ignored(self):
        self.refused(501, 48, "SELECT 1", compress=1)
        self.refused(501, 48, "SELECT 1", decompress=1)
        self.refused(501, 48, "SELECT 1", session_id="x")
        self.refused(501, 48, body=b"x", headers={"Content-Encoding": "gzip"})

    def test_get_reads_only(self):
        self.refused(500, 164, "CREATE TABLE d.ro (a Int8) ENGINE = Memory", method="GET")

    def test_binary_rows_arrive_whole_chunked_or_not(self):
        self.ok("CREATE TABLE d.bin (s String) ENGINE = MergeTree ORDER BY s")
        nasty = bytes(range(256)) * 300
        row = b"\x80\xd8\x04" + nasty  # 76,800 as LEB128
        self.ok("INSERT INTO d.bin (s) FORMAT RowBinary", row)
        self.ok("INSERT INTO d.bin (s) FORMAT RowBinary", (row[i : i + 999] for i in range(0, len(row), 999)))
        self.ok(body=b"INSERT INTO d.bin FORMAT RowBinary\n" + row)
        self.assertEqual(self.ok("SELECT count(), uniqExact(s), hex(any(s)) FROM d.bin"), f"3\t1\t{nasty.hex().upper()}\n".encode())

    def test_values_and_text_formats_are_taken(self):
        self.ok("CREATE TABLE d.val (a UInt8, b String) ENGINE = MergeTree ORDER BY a")
        self.ok(body=b"INSERT INTO d.val VALUES (1, 'x;\\'y'), (1 + 1, concat('a', 'b'))")
        self.ok("INSERT INTO d.val FORMAT JSONEachRow", b'{"a":3,"b":"z"}')
        self.ok("INSERT INTO d.val VALUES ({p:UInt8}, 'q')", param_p=4)
        self.assertEqual(self.ok("SELECT * FROM d.val ORDER BY a FORMAT CSV"), b"1,\"x;'y\"\n2,\"ab\"\n3,\"z\"\n4,\"q\"\n")

    def test_an_insert_is_one_part_and_its_token_is_honoured(self):
        self.ok("CREATE TABLE d.tok (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 10")
        rows = b"".join(i.to_bytes(8, "little") for i in range(500_000))
        for token, expected in (("1", b"500000\t1\n"), ("1", b"500000\t1\n"), ("2", b"1000000\t2\n")):
            self.ok("INSERT INTO d.tok FORMAT RowBinary", rows, insert_deduplication_token=token, async_insert=0)
            self.assertEqual(self.ok("SELECT (SELECT count() FROM d.tok), count() FROM system.parts WHERE table = 'tok' AND active"), expected)

    def test_a_body_that_breaks_off_stores_nothing(self):
        self.ok("CREATE TABLE d.cut (a UInt8) ENGINE = MergeTree ORDER BY a")
        for head, body in (("Content-Length: 10", b"123"), ("Transfer-Encoding: chunked", b"3\r\n123\r\n")):
            with socket.create_connection(("127.0.0.1", self.port)) as connection:
                url = "/?" + urlencode({"query": "INSERT INTO d.cut FORMAT RowBinary"})
                connection.sendall(f"POST {url} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode() + body)
                connection.shutdown(socket.SHUT_WR)
                self.assertEqual(connection.recv(100), b"")
        self.assertEqual(self.ok("SELECT count() FROM d.cut"), b"0\n")
        # Rows that are not whole are no rows either.
        self.ok("CREATE TABLE d.cut2 (a UInt64) ENGINE = MergeTree ORDER BY a")
        self.refused(500, 33, "INSERT INTO d.cut2 FORMAT RowBinary", b"12345678" b"123")
        self.assertEqual(self.ok("SELECT count() FROM d.cut2"), b"0\n")

    def test_a_body_over_the_limit_is_413_chunked_or_not(self):
        self.ok("CREATE TABLE d.big (a UInt8) ENGINE = MergeTree ORDER BY a")
        self.refused(413, 229, "INSERT INTO d.big FORMAT RowBinary", b"1" * 10_000_001)
        self.refused(413, 229, "INSERT INTO d.big FORMAT RowBinary", (b"1" * 1_000_000 for _ in range(11)))
        self.assertEqual(self.ok("SELECT count() FROM d.big"), b"0\n")

    def test_one_connection_carries_many_requests(self):
        connection = self.connection()
        began = time.monotonic()
        for i in range(50):
            connection.request("POST", "/", body=f"SELECT {i}" if i % 5 else "SELEC")
            self.assertIn(str(i).encode() if i % 5 else b"SYNTAX", connection.getresponse().read())
        self.assertLess(time.monotonic() - began, 2)

    def test_queries_run_side_by_side(self):
        began = time.monotonic()
        threads = [threading.Thread(target=self.ok, args=("SELECT sleep(1)",)) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        self.assertLess(time.monotonic() - began, 2.5)

    def test_headers_tell_query_and_rows(self):
        answer = ask(self.port, "SELECT * FROM numbers(10)", query_id="mine")
        self.assertEqual(answer.headers["X-ClickHouse-Query-Id"], "mine")
        self.assertEqual(json.loads(answer.headers["X-ClickHouse-Summary"])["read_rows"], "10")

    def test_unknown_paths_and_users_are_refused(self):
        connection = self.connection()
        connection.request("POST", "/other", body="x")
        response = connection.getresponse()
        self.assertIn(b"There is no handle /other", response.read())
        self.assertEqual(response.status, 404)
        self.refused(403, 516, "SELECT 1", user="someone")
        self.refused(403, 516, "SELECT 1", password="wrong")

    def test_a_folder_has_one_process(self):
        second = subprocess.run([*SERVER, "--listen", "127.0.0.1:0", "--path", self.folder.name], capture_output=True, text=True)
        self.assertEqual(second.returncode, 2)
        self.assertIn(f"is in use by process {self.process.pid}", second.stderr)


class ProcessTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def start(self, *options: str):
        process, port = start(self.folder, *options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, port

    def test_sigterm_lets_a_running_query_finish(self):
        process, port = self.start()
        answers = []
        thread = threading.Thread(target=lambda: answers.append(ask(port, "SELECT sleep(2), 'done'")))
        thread.start()
        time.sleep(0.5)
        self.assertEqual(stop(process), 0)
        thread.join()
        self.assertEqual(answers[0].body, b"0\tdone\n")

    def test_a_query_longer_than_the_grace_is_cut_off_and_said(self):
        process, port = self.start("--grace-period", "0.5")
        outcome = []

        def ask_long():
            try:
                outcome.append(ask(port, "SELECT sleep(3)"))
            except (http.client.HTTPException, OSError) as error:
                outcome.append(error)

        thread = threading.Thread(target=ask_long)
        thread.start()
        time.sleep(0.5)
        self.assertEqual(stop(process), 1)
        thread.join()
        self.assertIsInstance(outcome[0], (http.client.HTTPException, OSError))

    def test_rows_and_tokens_survive_kill_9(self):
        process, port = self.start()
        ask(port, "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 10, fsync_after_insert = 1, fsync_part_directory = 1")
        insert = lambda port: ask(port, "INSERT INTO t FORMAT RowBinary", b"123", insert_deduplication_token="x", async_insert=0).status
        self.assertEqual(insert(port), 200)
        stop(process, signal.SIGKILL)
        process, port = self.start()
        self.assertEqual(insert(port), 200)
        self.assertEqual(ask(port, "SELECT count() FROM t").body, b"3\n")
        self.assertEqual(stop(process), 0)

    def test_a_password_is_asked_for_in_every_way_clients_send_it(self):
        secret = Path(self.folder, "password")
        secret.write_text("pässword\n")
        _, port = self.start("--password-file", str(secret), "--user", "bridge")
        basic = base64.b64encode("bridge:pässword".encode()).decode()
        self.assertEqual(ask(port, "SELECT 1").code, "516")
        self.assertEqual(ask(port, "SELECT 1", user="bridge", password="no").code, "516")
        self.assertEqual(ask(port, "SELECT 1", user="bridge", password="pässword").body, b"1\n")
        self.assertEqual(ask(port, "SELECT 1", headers={"Authorization": f"Basic {basic}"}).body, b"1\n")
        self.assertEqual(ask(port, "SELECT 1", headers={"Authorization": "Basic *"}).code, "516")

    def test_more_queries_than_allowed_are_refused(self):
        _, port = self.start("--max-queries", "1")
        thread = threading.Thread(target=ask, args=(port, "SELECT sleep(2)"))
        thread.start()
        time.sleep(0.5)
        self.assertEqual(ask(port, "SELECT 1").code, "202")
        thread.join()

    def test_only_loopback_unless_told_otherwise(self):
        for listen in ("0.0.0.0:0", ":0", "[::]:0"):
            run = subprocess.run([*SERVER, "--listen", listen, "--path", self.folder], capture_output=True, text=True)
            self.assertEqual(run.returncode, 2)
            self.assertIn("--allow-remote", run.stderr)

    def test_a_taken_port_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            listen = f"127.0.0.1:{taken.getsockname()[1]}"
            run = subprocess.run([*SERVER, "--listen", listen, "--path", self.folder], capture_output=True, text=True)
        self.assertEqual((run.returncode, run.stderr), (2, f"embedded-clickhouse: --listen: `{listen}`: Address already in use\n"))


if __name__ == "__main__":
    unittest.main()
