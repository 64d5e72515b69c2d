//! Session ids, and the cookie that carries one.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use sha2::{Digest, Sha256};

/// Characters of 256 bits in base64.
const LENGTH: usize = 43;

/// A random id of 256 bits. It names a session and means nothing else; it is never logged or stored.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SessionId(String);

impl SessionId {
    pub(crate) fn random() -> SessionId {
        let mut bytes = [0; 32];
        // ThreadRng is a cryptographic generator, seeded by the system.
        rand::rng().fill_bytes(&mut bytes);
        SessionId(URL_SAFE_NO_PAD.encode(bytes))
    }

    fn parse(text: &str) -> Option<SessionId> {
        let fits = text.len() == LENGTH && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        fits.then(|| SessionId(text.to_owned()))
    }

    /// What the database knows it by.
    pub(crate) fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.0.as_bytes()))
    }

    /// The id in a request's cookies. Two cookies of our name are none: one of them was planted.
    pub(crate) fn from_request(headers: &HeaderMap, https: bool) -> Option<SessionId> {
        let mut found = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == cookie_name(https));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => SessionId::parse(value),
            _ => None,
        }
    }

    /// The header that gives the id to a browser.
    pub(crate) fn set_cookie(&self, https: bool) -> HeaderValue {
        cookie(&self.0, "", https)
    }
}

/// The header that makes a browser forget its id.
pub(crate) fn clear_cookie(https: bool) -> HeaderValue {
    cookie("", "; Max-Age=0", https)
}

/// `__Host-` makes browsers refuse the cookie from any other host, path or connection without TLS.
fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-lynceus_session" } else { "lynceus_session" }
}

fn cookie(value: &str, age: &str, https: bool) -> HeaderValue {
    let secure = if https { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}", cookie_name(https));
    // Ids are base64, so nothing in the text can be refused.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|c| (header::COOKIE, HeaderValue::from_str(c).unwrap())).collect()
    }

    #[test]
    fn a_cookie_comes_back() {
        for https in [false, true] {
            let id = SessionId::random();
            let header = id.set_cookie(https);
            let pair = header.to_str().unwrap().split(';').next().unwrap();
            assert!(SessionId::from_request(&request(&[&format!("a=b; {pair}; c=d")]), https) == Some(id.clone()));
            assert!(SessionId::from_request(&request(&[pair]), !https).is_none());
        }
    }

    #[test]
    fn the_cookie_is_kept_from_scripts_and_other_sites() {
        let id = SessionId("x".repeat(43));
        let x = "x".repeat(43);
        assert_eq!(id.set_cookie(false), format!("lynceus_session={x}; Path=/; HttpOnly; SameSite=Lax"));
        assert_eq!(id.set_cookie(true), format!("__Host-lynceus_session={x}; Path=/; HttpOnly; SameSite=Lax; Secure"));
        assert_eq!(clear_cookie(false), "lynceus_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    }

    #[test]
    fn what_is_no_id_is_none() {
        let id = "x".repeat(43);
        for cookies in
            [vec![], vec!["lynceus_session="], vec!["lynceus_session=short"], vec!["other=1"], vec!["lynceus_session"]]
        {
            assert!(SessionId::from_request(&request(&cookies), false).is_none(), "{cookies:?}");
        }
        let twice = format!("lynceus_session={id}; lynceus_session={id}");
        assert!(SessionId::from_request(&request(&[&twice]), false).is_none());
        let odd = format!("lynceus_session={}", "'".repeat(43));
        assert!(SessionId::from_request(&request(&[&odd]), false).is_none());
    }

    #[test]
    fn the_stored_hash_is_not_the_id() {
        let id = SessionId::random();
        assert_ne!(id.hash(), id.0);
        assert_eq!(id.hash().len(), LENGTH);
        assert!(SessionId::random() != SessionId::random());
    }
}
