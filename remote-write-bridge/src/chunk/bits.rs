//! Bits, the highest first, and the numbers that Prometheus makes of them.

use super::ChunkError;

/// How many bits a number takes behind its prefix: `0` is the number 0, then `10` and 3 bits, `110` and 6 bits, and so on;
/// eight ones are followed by all 64.
const VARBIT_SIZES: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];

#[derive(Debug)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are not used yet.
    free: u32,
}

impl BitWriter {
    /// Behind a header.
    pub(super) fn new(header: &[u8]) -> Self {
        Self { bytes: header.to_vec(), free: 0 }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bit(&mut self, bit: bool) {
        self.bits(u64::from(bit), 1);
    }

    /// The lowest bits of a number.
    pub(super) fn bits(&mut self, value: u64, mut count: u32) {
        while count > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let taken = count.min(self.free);
            count -= taken;
            self.free -= taken;
            let part = (value >> count) as u8 & (0xff >> (8 - taken));
            if let Some(last) = self.bytes.last_mut() {
                *last |= part << self.free;
            }
        }
    }

    pub(super) fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bits(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.bits(value, 8);
    }

    pub(super) fn varint(&mut self, value: i64) {
        self.uvarint((value << 1 ^ value >> 63).cast_unsigned());
    }

    pub(super) fn varbit(&mut self, value: i64) {
        let place = VARBIT_SIZES.iter().position(|size| fits(value, *size));
        self.prefixed(value == 0, place, value.cast_unsigned());
    }

    pub(super) fn unsigned_varbit(&mut self, value: u64) {
        let place = VARBIT_SIZES.iter().position(|size| value >> size == 0);
        self.prefixed(value == 0, place, value);
    }

    fn prefixed(&mut self, is_zero: bool, place: Option<usize>, value: u64) {
        match place {
            _ if is_zero => self.bit(false),
            Some(place) => {
                let ones = place as u32 + 1;
                self.bits((1 << (ones + 1)) - 2, ones + 1);
                self.bits(value, VARBIT_SIZES[place]);
            }
            None => {
                self.bits(0xff, 8);
                self.bits(value, 64);
            }
        }
    }
}

/// Whether a number can be written in so many bits: one more above zero than below.
pub(super) fn fits(value: i64, size: u32) -> bool {
    let most = 1i64 << (size - 1);
    (1 - most..=most).contains(&value)
}

/// The number that was written in so many bits.
pub(super) fn signed(bits: u64, size: u32) -> i64 {
    let value = bits.cast_signed();
    if value > 1 << (size - 1) { value - (1 << size) } else { value }
}

#[derive(Debug, Clone)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> BitReader<'a> {
    /// Begins behind a header of so many bytes.
    pub(super) fn new(bytes: &'a [u8], header: usize) -> Self {
        Self { bytes, at: header * 8 }
    }

    /// The byte that is read next.
    pub(super) fn position(&self) -> usize {
        self.at / 8
    }

    /// Bits that are left.
    pub(super) fn left(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.at)
    }

    pub(super) fn bit(&mut self) -> Result<bool, ChunkError> {
        Ok(self.bits(1)? == 1)
    }

    /// At most 64.
    pub(super) fn bits(&mut self, count: u32) -> Result<u64, ChunkError> {
        if count == 0 {
            return Ok(0);
        }
        if self.left() < count as usize {
            return Err(ChunkError::Ends { length: self.bytes.len() });
        }
        let rest = &self.bytes[self.at / 8..];
        let mut window = [0; 16];
        let length = rest.len().min(window.len());
        window[..length].copy_from_slice(&rest[..length]);
        let value = u128::from_be_bytes(window) << (self.at % 8) >> (128 - count);
        self.at += count as usize;
        // At most 64 bits are set.
        Ok(value as u64)
    }

    pub(super) fn double(&mut self) -> Result<f64, ChunkError> {
        self.bits(64).map(f64::from_bits)
    }

    pub(super) fn uvarint(&mut self) -> Result<u64, ChunkError> {
        let start = self.position();
        let mut value = 0;
        for place in 0..10 {
            let byte = self.bits(8)?;
            if place == 9 && byte > 1 {
                break;
            }
            value |= (byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ChunkError::Number { at: start })
    }

    pub(super) fn varint(&mut self) -> Result<i64, ChunkError> {
        let value = self.uvarint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// How many ones there are before a zero; the last of at most so many needs none.
    pub(super) fn ones(&mut self, most: usize) -> Result<usize, ChunkError> {
        let mut ones = 0;
        while ones < most && self.bit()? {
            ones += 1;
        }
        Ok(ones)
    }

    pub(super) fn varbit(&mut self) -> Result<i64, ChunkError> {
        match self.ones(8)? {
            0 => Ok(0),
            8 => Ok(self.bits(64)?.cast_signed()),
            ones => {
                let size = VARBIT_SIZES[ones - 1];
                Ok(signed(self.bits(size)?, size))
            }
        }
    }

    pub(super) fn unsigned_varbit(&mut self) -> Result<u64, ChunkError> {
        match self.ones(8)? {
            0 => Ok(0),
            8 => self.bits(64),
            ones => self.bits(VARBIT_SIZES[ones - 1]),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_read_back(numbers: Vec<(i64, u64)>, shifts in prop::collection::vec(0u32..64, 8)) {
            let of_all_sizes: Vec<_> = numbers.iter().zip(shifts.iter().cycle()).map(|((a, b), by)| (a >> by, b >> by)).collect();
            let mut writer = BitWriter::new(&[7]);
            for (a, b) in &of_all_sizes {
                writer.varbit(*a);
                writer.unsigned_varbit(*b);
                writer.varint(*a);
                writer.uvarint(*b);
                writer.bits(*b, 3);
            }
            let bytes = writer.into_bytes();
            let mut reader = BitReader::new(&bytes, 1);
            for (a, b) in of_all_sizes {
                let found = (reader.varbit(), reader.unsigned_varbit(), reader.varint(), reader.uvarint(), reader.bits(3));
                prop_assert_eq!(found, (Ok(a), Ok(b), Ok(a), Ok(b), Ok(b & 7)));
            }
            prop_assert!(reader.left() < 8);
        }
    }

    #[test]
    fn the_limits_of_each_size_are_those_of_prometheus() {
        let bits = |value| {
            let mut writer = BitWriter::new(&[]);
            writer.varbit(value);
            writer.len() as u32 * 8 - writer.free
        };
        for (value, expected) in [(0, 1), (-3, 5), (4, 5), (-4, 9), (5, 9), (-31, 9), (32, 9), (33, 13), (-2047, 17)] {
            assert_eq!(bits(value), expected, "{value}");
        }
        assert_eq!((bits(36_028_797_018_963_968), bits(36_028_797_018_963_969), bits(i64::MIN)), (64, 72, 72));
    }

    #[test]
    fn what_ends_early_is_said() {
        let error = BitReader::new(&[0xff, 0xff], 0).bits(17).unwrap_err();
        assert_eq!(error.to_string(), "the chunk ends inside a sample, after 2 bytes");
        let error = BitReader::new(&[0xff; 11], 0).uvarint().unwrap_err();
        assert_eq!(error.to_string(), "at byte 0 of the chunk: a number of more than 64 bits");
    }
}
