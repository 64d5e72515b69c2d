"""python -m unittest, in this folder; needs no engine."""

import unittest

from statement import Insert, Other, parse


class InsertTest(unittest.TestCase):
    def check(self, text: bytes, sql: str, data: bytes):
        found = parse(text)
        self.assertIsInstance(found, Insert, text)
        self.assertEqual(" ".join(found.reading_from("F").split()), sql)
        self.assertEqual(text[found.data :], data)

    def test_bytes_after_the_format_are_data(self):
        self.check(b"INSERT INTO t(a, b) FORMAT RowBinary\n\x00\xff(", "INSERT INTO t(a, b) FROM INFILE 'F' FORMAT RowBinary", b"\x00\xff(")

    def test_only_one_line_end_belongs_to_the_statement(self):
        self.check(b"insert into t format RowBinary \r\n\n\n", "insert into t FROM INFILE 'F' FORMAT RowBinary", b"\n\n")

    def test_settings_stay_between_file_and_format(self):
        self.check(
            b"INSERT INTO db.t SETTINGS async_insert = 0, x = 'FORMAT y' FORMAT TSV\n1",
            "INSERT INTO db.t FROM INFILE 'F' SETTINGS async_insert = 0, x = 'FORMAT y' FORMAT TSV",
            b"1",
        )

    def test_values_are_data_in_the_format_values(self):
        self.check(b"INSERT INTO t VALUES (1), (2)", "INSERT INTO t FROM INFILE 'F' FORMAT Values", b" (1), (2)")

    def test_names_that_look_like_clauses_are_names(self):
        self.check(b"INSERT INTO format (values, `format`) FORMAT CSV\n", "INSERT INTO format (values, `format`) FROM INFILE 'F' FORMAT CSV", b"")
        self.check(b"INSERT INTO db.format FORMAT CSV\n", "INSERT INTO db.format FROM INFILE 'F' FORMAT CSV", b"")
        self.check(b'INSERT INTO "a)b`" (c) VALUES', 'INSERT INTO "a)b`" (c) FROM INFILE \'F\' FORMAT Values', b"")
        self.check(b"INSERT INTO FUNCTION null('values') VALUES 1", "INSERT INTO FUNCTION null('values') FROM INFILE 'F' FORMAT Values", b" 1")

    def test_comments_are_skipped(self):
        self.check(b"/* VALUES */ INSERT -- VALUES\nINTO t FORMAT CSV\n1", "INSERT -- VALUES INTO t FROM INFILE 'F' FORMAT CSV".replace("INSERT", "/* VALUES */ INSERT"), b"1")


class OtherTest(unittest.TestCase):
    def check(self, text: bytes, format: str | None = None, file: str | None = None):
        self.assertEqual(parse(text), Other(format, file))

    def test_inserts_from_a_query_have_no_data(self):
        self.check(b"INSERT INTO t SELECT * FROM u")
        self.check(b"INSERT INTO t (a) WITH 1 AS x SELECT x")

    def test_the_format_of_a_query_is_found(self):
        self.check(b"SELECT formatRow('CSV', 1) FORMAT JSON", "JSON")
        self.check(b"SELECT 'x FORMAT CSV', (SELECT 1)", None)

    def test_clauses_that_name_files_are_found(self):
        self.check(b"SELECT 1 INTO OUTFILE 'x'", file="INTO OUTFILE")
        self.check(b"INSERT INTO t FROM INFILE 'x' FORMAT CSV", "CSV", "FROM INFILE")

    def test_what_is_not_sql_is_left_to_the_engine(self):
        for text in (b"", b"   ", b"INSERT", b"INSERT INTO", b"INSERT INTO t FORMAT", b"'", b"\x00\xff", b"/* "):
            self.check(text)


if __name__ == "__main__":
    unittest.main()
