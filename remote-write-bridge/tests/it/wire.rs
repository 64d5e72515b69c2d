//! Remote write and read as bytes, made and read by hand: the bridge's own messages would hide their own mistakes.

pub(crate) const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Labels, (milliseconds, value) pairs, and native histograms.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) samples: Vec<(i64, u64)>,
    pub(crate) histograms: Vec<Histogram>,
}

/// Fields of a message: number, wire type and content, those that are the default left out.
pub(crate) type Histogram = Vec<(u64, u8, Vec<u8>)>;

/// A field that is a varint; a signed one is zigzag.
pub(crate) fn number(tag: u64, value: u64) -> (u64, u8, Vec<u8>) {
    let mut content = Vec::new();
    varint(value, &mut content);
    (tag, 0, content)
}

pub(crate) fn double(tag: u64, value: f64) -> (u64, u8, Vec<u8>) {
    (tag, 1, value.to_bits().to_le_bytes().to_vec())
}

/// Numbers in one field.
pub(crate) fn packed_numbers(tag: u64, values: &[u64]) -> (u64, u8, Vec<u8>) {
    let mut content = Vec::new();
    values.iter().for_each(|value| varint(*value, &mut content));
    (tag, 2, content)
}

pub(crate) fn packed_doubles(tag: u64, values: &[f64]) -> (u64, u8, Vec<u8>) {
    (tag, 2, values.iter().flat_map(|value| value.to_bits().to_le_bytes()).collect())
}

/// A span of buckets.
pub(crate) fn span(tag: u64, zigzag_offset: u64, length: u64) -> (u64, u8, Vec<u8>) {
    let mut content = Vec::new();
    if zigzag_offset > 0 {
        content.push(1 << 3);
        varint(zigzag_offset, &mut content);
    }
    content.push(2 << 3);
    varint(length, &mut content);
    (tag, 2, content)
}

/// A series with values as numbers; `series` keeps bits.
pub(crate) fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Series {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let samples = samples.iter().map(|(time, value)| (*time, value.to_bits())).collect();
    Series { labels: labels.iter().map(own).collect(), samples, histograms: vec![] }
}

pub(crate) fn packed(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).unwrap()
}

pub(crate) fn write_request(series: &[Series]) -> Vec<u8> {
    let mut out = Vec::new();
    for one in series {
        let mut message = Vec::new();
        for (name, value) in &one.labels {
            let mut label = Vec::new();
            bytes(1, name.as_bytes(), &mut label);
            bytes(2, value.as_bytes(), &mut label);
            bytes(1, &label, &mut message);
        }
        for (time, value) in &one.samples {
            let mut sample = vec![1 << 3 | 1];
            sample.extend(value.to_le_bytes());
            sample.push(2 << 3);
            varint(time.cast_unsigned(), &mut sample);
            bytes(2, &sample, &mut message);
        }
        for histogram in &one.histograms {
            let mut fields = Vec::new();
            for (tag, kind, content) in histogram {
                if *kind == 2 {
                    bytes(*tag, content, &mut fields);
                } else {
                    varint(tag << 3 | u64::from(*kind), &mut fields);
                    fields.extend(content);
                }
            }
            bytes(4, &fields, &mut message);
        }
        bytes(1, &message, &mut out);
    }
    out
}

/// Type (0 =, 1 !=, 2 =~, 3 !~), name, value.
pub(crate) type Matcher<'a> = (u64, &'a str, &'a str);

pub(crate) fn read_request(start: i64, end: i64, matchers: &[Matcher<'_>]) -> Vec<u8> {
    let mut query = vec![1 << 3];
    varint(start.cast_unsigned(), &mut query);
    query.push(2 << 3);
    varint(end.cast_unsigned(), &mut query);
    for (kind, name, value) in matchers {
        let mut matcher = vec![1 << 3];
        varint(*kind, &mut matcher);
        bytes(2, name.as_bytes(), &mut matcher);
        bytes(3, value.as_bytes(), &mut matcher);
        bytes(3, &matcher, &mut query);
    }
    let mut out = Vec::new();
    bytes(1, &query, &mut out);
    out
}

/// A request for chunks, or for samples from who has none.
pub(crate) fn streamed_read_request(start: i64, end: i64, matchers: &[Matcher<'_>]) -> Vec<u8> {
    let mut out = read_request(start, end, matchers);
    bytes(2, &[1, 0], &mut out);
    out
}

pub(crate) type Labels = Vec<(String, String)>;

/// Type and data.
pub(crate) type Chunk = (u8, Vec<u8>);

/// The frames of a streamed answer, their pieces of a series put together: labels, and type and data of each chunk.
pub(crate) fn read_frames(mut body: &[u8]) -> Vec<(Labels, Vec<Chunk>)> {
    let mut found: Vec<(Labels, Vec<_>)> = Vec::new();
    while !body.is_empty() {
        let (length, rest) = read_varint(body);
        let (crc, rest) = rest.split_first_chunk().unwrap();
        let (message, rest) = rest.split_at(length as usize);
        assert_eq!(u32::from_be_bytes(*crc), crc32c::crc32c(message));
        body = rest;
        let series: Vec<_> = fields(message).into_iter().filter(|(tag, ..)| *tag == 1).collect();
        assert_eq!(series.len(), 1, "Prometheus reads one series of a frame");
        let (mut labels, mut chunks) = (Vec::new(), Vec::new());
        for (tag, _, value) in fields(series[0].2) {
            let parts = fields(value);
            let part = |tag| parts.iter().find(|(t, ..)| *t == tag).map_or(&[][..], |(.., value)| *value);
            match tag {
                1 => labels.push([1, 2].map(|tag| String::from_utf8(part(tag).to_vec()).unwrap()).into()),
                2 => chunks.push((part(3)[0], part(4).to_vec())),
                other => panic!("field {other} in a chunked series"),
            }
        }
        match found.last_mut() {
            Some((last, all)) if *last == labels => all.extend(chunks),
            _ => found.push((labels, chunks)),
        }
    }
    found
}

/// The samples of an XOR chunk.
pub(crate) fn xor_samples(data: &[u8]) -> Vec<(i64, u64)> {
    let mut at = 16;
    let mut bits = |count: usize| {
        let mut value = 0u64;
        for _ in 0..count {
            value = value << 1 | u64::from(data[at / 8] >> (7 - at % 8) & 1);
            at += 1;
        }
        value
    };
    let (mut time, mut step, mut value, mut window) = (0i64, 0i64, 0u64, (0, 0));
    let mut samples = Vec::new();
    for number in 0..u16::from_be_bytes([data[0], data[1]]) {
        let mut varint = || {
            let (mut value, mut place) = (0, 0);
            loop {
                let byte = bits(8);
                value |= (byte & 0x7f) << place;
                place += 7;
                if byte < 0x80 {
                    return value;
                }
            }
        };
        if number == 0 {
            let zigzag = varint();
            time = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
            value = bits(64);
            samples.push((time, value));
            continue;
        }
        if number == 1 {
            step = varint().cast_signed();
        } else {
            let size = [0, 14, 17, 20, 64][(0..4).take_while(|_| bits(1) == 1).count()];
            let change = bits(size);
            let is_negative = size > 0 && size < 64 && change > 1 << (size - 1);
            step += if is_negative { change.cast_signed() - (1 << size) } else { change.cast_signed() };
        }
        time += step;
        if bits(1) == 1 {
            if bits(1) == 1 {
                let (leading, length) = (bits(5), bits(6));
                let length = if length == 0 { 64 } else { length };
                window = (length as usize, 64 - leading - length);
            }
            value ^= bits(window.0) << window.1;
        }
        samples.push((time, value));
    }
    samples
}

/// The series of the first result.
pub(crate) fn read_response(body: &[u8]) -> Vec<Series> {
    let unpacked = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    let results = fields(&unpacked);
    let first = results.first().map(|(.., value)| fields(value)).unwrap_or_default();
    first.iter().map(|(.., series)| read_series(series)).collect()
}

fn read_series(message: &[u8]) -> Series {
    let mut series = Series { labels: vec![], samples: vec![], histograms: vec![] };
    for (tag, _, value) in fields(message) {
        let parts = fields(value);
        let part = |tag| parts.iter().find(|(t, ..)| *t == tag).map_or(&[][..], |(.., value)| *value);
        match tag {
            1 => {
                let text = |tag| String::from_utf8(part(tag).to_vec()).unwrap();
                series.labels.push((text(1), text(2)));
            }
            2 => {
                let mut value = [0; 8];
                value[..part(1).len()].copy_from_slice(part(1));
                let time = if part(2).is_empty() { 0 } else { read_varint(part(2)).0 };
                series.samples.push((time.cast_signed(), u64::from_le_bytes(value)));
            }
            4 => {
                let own = |(tag, kind, value): &(u64, u8, &[u8])| (*tag, *kind, value.to_vec());
                let is_default = |(_, kind, value): &(u64, u8, Vec<u8>)| *kind != 2 && value.iter().all(|b| *b == 0);
                let mut histogram: Histogram = parts.iter().map(own).filter(|field| !is_default(field)).collect();
                histogram.sort_by_key(|(tag, ..)| *tag);
                series.histograms.push(histogram);
            }
            other => panic!("field {other} in a time series"),
        }
    }
    series
}

fn bytes(tag: u64, value: &[u8], out: &mut Vec<u8>) {
    varint(tag << 3 | 2, out);
    varint(value.len() as u64, out);
    out.extend(value);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Tag, wire type and content of each field; a varint's content is its bytes.
fn fields(mut message: &[u8]) -> Vec<(u64, u8, &[u8])> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let (key, rest) = read_varint(message);
        let (start, length) = match key & 7 {
            0 => (0, rest.len() - read_varint(rest).1.len()),
            1 => (0, 8),
            2 => {
                let (length, after) = read_varint(rest);
                (rest.len() - after.len(), length as usize)
            }
            kind => panic!("wire type {kind}"),
        };
        found.push((key >> 3, (key & 7) as u8, &rest[start..start + length]));
        message = &rest[start + length..];
    }
    found
}

fn read_varint(bytes: &[u8]) -> (u64, &[u8]) {
    let mut value = 0;
    for (i, byte) in bytes.iter().enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return (value, &bytes[i + 1..]);
        }
    }
    panic!("a varint without end");
}
