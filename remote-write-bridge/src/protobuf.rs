//! The protobuf wire format, read field by field and without copying.
//!
//! Strict where a lenient reader would lose data without a word: groups, field number 0, varints of more than 64 bits
//! and fields that reach past their message are errors, with their place in the unpacked body. Unknown fields are
//! skipped, as the format demands.

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {position}: {reason}")]
pub struct ProtobufError {
    /// Where in the unpacked body.
    pub position: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(Message<'a>),
}

/// The bytes of a message, and where they begin in the body.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Message<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) position: usize,
}

/// Reads the fields of a message.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    message: Message<'a>,
    at: usize,
}

impl<'a> Message<'a> {
    /// A whole body.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(crate) fn fields(self) -> Fields<'a> {
        Fields { message: self, at: 0 }
    }

    /// As text.
    pub(crate) fn text(self) -> Result<&'a str, ProtobufError> {
        str::from_utf8(self.bytes)
            .map_err(|error| ProtobufError { position: self.position + error.valid_up_to(), reason: "invalid UTF-8" })
    }
}

impl<'a> Fields<'a> {
    /// The next field: its number and value; `None` at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, ProtobufError> {
        if self.at == self.message.bytes.len() {
            return Ok(None);
        }
        let start = self.at;
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let Some(number) = number else { return Err(self.error_at(start, "a field number outside of 1 to 2^29 - 1")) };
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                let position = self.message.position + self.at;
                Value::Bytes(Message { bytes: self.take(length)?, position })
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            3 | 4 => return Err(self.error_at(start, "a group, which these messages do not have")),
            _ => return Err(self.error_at(start, "an unknown wire type")),
        };
        Ok(Some((number, value)))
    }

    /// The next bytes, where they are a field with this one-byte key: their span and the content. Else nothing moves.
    #[inline]
    pub(crate) fn next_if(&mut self, key: u8) -> Result<Option<Message<'a>>, ProtobufError> {
        if self.message.bytes.get(self.at) != Some(&key) {
            return Ok(None);
        }
        self.at += 1;
        let length = self.varint()?;
        let position = self.message.position + self.at;
        Ok(Some(Message { bytes: self.take(length)?, position }))
    }

    /// Goes past a run of fields with this one-byte key.
    #[inline]
    pub(crate) fn skip_run(&mut self, key: u8) -> Result<(), ProtobufError> {
        let bytes = self.message.bytes;
        // Lengths below 128 are one byte.
        while let Some([found, length @ 0..0x80]) = bytes.get(self.at..).and_then(|rest| rest.first_chunk())
            && *found == key
            && self.at + 2 + usize::from(*length) <= bytes.len()
        {
            self.at += 2 + usize::from(*length);
        }
        match self.next_if(key)? {
            Some(_) => self.skip_run(key),
            None => Ok(()),
        }
    }

    /// How many bytes of the message were read.
    pub(crate) fn read(&self) -> usize {
        self.at
    }

    /// A varint that stands by itself, in a packed field.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, ProtobufError> {
        let bytes = &self.message.bytes[self.at..];
        if let Some(byte) = bytes.first()
            && *byte < 0x80
        {
            self.at += 1;
            return Ok(u64::from(*byte));
        }
        let mut value = 0;
        for (place, byte) in bytes.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * place);
            if *byte < 0x80 {
                if place == 9 && *byte > 1 {
                    break;
                }
                self.at += place + 1;
                return Ok(value);
            }
        }
        let reason =
            if bytes.len() < 10 { "the message ends inside a number" } else { "a number of more than 64 bits" };
        Err(self.error(reason))
    }

    /// Whether all was read.
    pub(crate) fn is_done(&self) -> bool {
        self.at == self.message.bytes.len()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtobufError> {
        let bytes = self.message.bytes[self.at..].first_chunk().copied();
        let bytes = bytes.ok_or_else(|| self.error("the message ends inside a number"))?;
        self.at += N;
        Ok(bytes)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], ProtobufError> {
        let rest = &self.message.bytes[self.at..];
        let length = usize::try_from(length).ok().filter(|length| *length <= rest.len());
        let length = length.ok_or_else(|| self.error("a field reaches past the end of its message"))?;
        self.at += length;
        Ok(&rest[..length])
    }

    fn error(&self, reason: &'static str) -> ProtobufError {
        self.error_at(self.at, reason)
    }

    fn error_at(&self, at: usize, reason: &'static str) -> ProtobufError {
        ProtobufError { position: self.message.position + at, reason }
    }
}

impl<'a> Value<'a> {
    /// A field that has to be a message or text.
    #[inline]
    pub(crate) fn bytes(self, fields: &Fields<'a>) -> Result<Message<'a>, ProtobufError> {
        match self {
            Self::Bytes(message) => Ok(message),
            _ => Err(fields.error("a number where the message has a string or message")),
        }
    }

    /// A field that has to be a whole number.
    #[inline]
    pub(crate) fn integer(self, fields: &Fields<'a>) -> Result<u64, ProtobufError> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(fields.error("another kind of field where the message has a whole number")),
        }
    }

    /// A field that has to be a floating-point number.
    #[inline]
    pub(crate) fn double(self, fields: &Fields<'a>) -> Result<f64, ProtobufError> {
        match self {
            Self::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(fields.error("another kind of field where the message has a 64-bit floating-point number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(bytes: &[u8]) -> String {
        let mut fields = Message::new(bytes).fields();
        loop {
            match fields.next() {
                Ok(Some(_)) => {}
                Ok(None) => return String::new(),
                Err(error) => return error.to_string(),
            }
        }
    }

    #[test]
    fn fields_have_number_and_value() {
        let mut fields = Message::new(b"\x08\xac\x02\x11\0\0\0\0\0\0\xf0\x3f\x1a\x02hi\x25\x01\0\0\0").fields();
        let mut found = Vec::new();
        while let Some(field) = fields.next().unwrap() {
            found.push(field);
        }
        let text = Message { bytes: b"hi", position: 14 };
        let expected = [
            (1, Value::Varint(300)),
            (2, Value::Fixed64(1f64.to_bits())),
            (3, Value::Bytes(text)),
            (4, Value::Fixed32(1)),
        ];
        assert_eq!(found, expected);
        assert_eq!(text.text(), Ok("hi"));
    }

    #[test]
    fn what_is_no_message_is_said_with_its_place() {
        assert_eq!(error(b"\x08\x01\x0b"), "at byte 2: a group, which these messages do not have");
        assert_eq!(error(b"\x08\x01\x0c"), "at byte 2: a group, which these messages do not have");
        assert_eq!(error(b"\x0f"), "at byte 0: an unknown wire type");
        assert_eq!(error(b"\x02\x00"), "at byte 0: a field number outside of 1 to 2^29 - 1");
        assert_eq!(error(b"\x0a\x05hey"), "at byte 2: a field reaches past the end of its message");
        assert_eq!(
            error(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            "at byte 11: a field reaches past the end of its message"
        );
        assert_eq!(error(b"\x09\x01"), "at byte 1: the message ends inside a number");
        assert_eq!(error(b"\x08\x80"), "at byte 1: the message ends inside a number");
        assert_eq!(error(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "at byte 1: a number of more than 64 bits");
        let text = Message { bytes: b"a\xff", position: 7 };
        assert_eq!(text.text().unwrap_err().to_string(), "at byte 8: invalid UTF-8");
    }

    #[test]
    fn the_largest_number_is_read() {
        let mut fields = Message::new(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").fields();
        assert_eq!(fields.next(), Ok(Some((1, Value::Varint(u64::MAX)))));
    }
}
