//! Memory, by the kernel's own names for its parts.

use super::{Collection, Malformed, malformed, number};

pub(super) fn collect(collection: &mut Collection<'_>) -> Result<(), Malformed> {
    const SOURCE: &str = "/proc/meminfo";
    const KIBIBYTE: f64 = 1024.0;
    for line in collection.reading.lines(SOURCE) {
        let (key, rest) = line.split_once(':').ok_or_else(|| malformed(SOURCE, "a name and a colon", line))?;
        // `Active(anon)` is `Active_anon`.
        let key = key.replace('(', "_").replace(')', "");
        if !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(malformed(SOURCE, "a name of letters and digits", line));
        }
        let help = |key: &str| format!("Memory information field {key}.");
        match rest.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
            [value] => {
                let (name, help) = (format!("node_memory_{key}"), help(&key));
                collection.out.gauge(name, help, &[], number(SOURCE, value)?);
            }
            [value, "kB"] => {
                let key = format!("{key}_bytes");
                let (name, help) = (format!("node_memory_{key}"), help(&key));
                collection.out.gauge(name, help, &[], number(SOURCE, value)? * KIBIBYTE);
            }
            _ => return Err(malformed(SOURCE, "a number, with `kB` or without", line)),
        }
    }
    Ok(())
}
