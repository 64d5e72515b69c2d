//! Requests of remote write 1.0: `prometheus.WriteRequest`, packed with snappy.

use super::like::Labels;

/// Samples of a request, about.
const SAMPLES: usize = 5_000;
/// Bytes of a sample: two keys, eight bytes of value, up to ten of time.
const SAMPLE_BYTES: usize = 20;

/// Of length-delimited fields, and of the two of a sample.
const FIRST: u8 = 1 << 3 | 2;
const SECOND: u8 = 2 << 3 | 2;
const VALUE: u8 = 1 << 3 | 1;
const TIME: u8 = 2 << 3;

/// A request that is ready.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) packed: Vec<u8>,
    pub(super) samples: usize,
}

/// The labels of a series as they stand in each message.
pub(super) fn labels(labels: &Labels) -> Vec<u8> {
    let (mut all, mut label) = (Vec::new(), Vec::new());
    for (name, value) in labels {
        label.clear();
        field(&mut label, FIRST, name.as_bytes());
        field(&mut label, SECOND, value.as_bytes());
        field(&mut all, FIRST, &label);
    }
    all
}

/// Gathers series for requests.
#[derive(Default)]
pub(super) struct Bodies {
    ready: Vec<Body>,
    request: Vec<u8>,
    series: Vec<u8>,
    samples: usize,
}

impl Bodies {
    /// Samples of one series, in the order of time.
    pub(super) fn add(&mut self, labels: &[u8], samples: &[(i64, f64)]) {
        self.series.clear();
        self.series.reserve(labels.len() + samples.len() * SAMPLE_BYTES);
        self.series.extend_from_slice(labels);
        for (time, value) in samples {
            let mut sample = [VALUE; SAMPLE_BYTES];
            sample[1..9].copy_from_slice(&value.to_le_bytes());
            sample[9] = TIME;
            let end = 10 + write_varint(&mut sample[10..], time.cast_unsigned());
            field(&mut self.series, SECOND, &sample[..end]);
        }
        field(&mut self.request, FIRST, &self.series);
        self.samples += samples.len();
        if self.samples >= SAMPLES {
            self.pack();
        }
    }

    /// All of them.
    pub(super) fn finish(mut self) -> Vec<Body> {
        if self.samples > 0 {
            self.pack();
        }
        self.ready
    }

    fn pack(&mut self) {
        // Fails only beyond 4 GiB.
        let packed = snap::raw::Encoder::new().compress_vec(&self.request).unwrap_or_default();
        self.ready.push(Body { packed, samples: std::mem::take(&mut self.samples) });
        self.request.clear();
    }
}

fn field(into: &mut Vec<u8>, key: u8, bytes: &[u8]) {
    let mut length = [0; 10];
    let end = write_varint(&mut length, bytes.len() as u64);
    into.push(key);
    into.extend_from_slice(&length[..end]);
    into.extend_from_slice(bytes);
}

/// How many bytes it took.
fn write_varint(into: &mut [u8], mut number: u64) -> usize {
    for (place, byte) in into.iter_mut().enumerate() {
        *byte = number as u8 & 0x7f;
        number >>= 7;
        if number == 0 {
            return place + 1;
        }
        *byte |= 0x80;
    }
    into.len()
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[derive(Clone, PartialEq, Message)]
    struct WriteRequest {
        #[prost(message, repeated, tag = "1")]
        timeseries: Vec<TimeSeries>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct TimeSeries {
        #[prost(message, repeated, tag = "1")]
        labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        samples: Vec<Sample>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Label {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, tag = "2")]
        value: String,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Sample {
        #[prost(double, tag = "1")]
        value: f64,
        #[prost(int64, tag = "2")]
        timestamp: i64,
    }

    #[test]
    fn requests_are_what_prost_reads() {
        let of = |name: &str| Labels::from([("__name__".into(), name.into()), ("long".into(), "x".repeat(300))]);
        let samples: Vec<_> = (0..4_000).map(|i| (1_790_000_000_000 + i * 300_000, i as f64 / 3.0)).collect();
        let mut bodies = Bodies::default();
        for name in ["a", "b", "c"] {
            bodies.add(&labels(&of(name)), &samples);
        }
        let bodies = bodies.finish();
        assert_eq!(bodies.iter().map(|body| body.samples).collect::<Vec<_>>(), [8_000, 4_000]);
        let mut found = Vec::new();
        for body in bodies {
            let plain = snap::raw::Decoder::new().decompress_vec(&body.packed).unwrap();
            found.extend(WriteRequest::decode(&plain[..]).unwrap().timeseries);
        }
        assert_eq!(found.len(), 3);
        for (series, name) in found.iter().zip(["a", "b", "c"]) {
            let labels: Vec<_> = series.labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect();
            assert_eq!(labels, of(name).into_iter().collect::<Vec<_>>());
            let of: Vec<_> = series.samples.iter().map(|sample| (sample.timestamp, sample.value)).collect();
            assert_eq!(of, samples);
        }
    }
}
