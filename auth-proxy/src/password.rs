//! Passwords: what is accepted as a new one, and the bounded work of checking one.

use std::sync::Arc;

use lynceus_service::Secret;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

/// 2^12 rounds: about a quarter of a second of one core in 2026.
const COST: u32 = 12;
const MIN_CHARACTERS: usize = 12;
/// bcrypt reads 72 bytes, the last of which is its own end mark: what follows would not count.
const MAX_BYTES: usize = 71;
const MIN_KINDS: usize = 3;
/// Sign-ins that may wait for the processor; at 4 a second and core the last of them waits some seconds.
const MAX_WAITING: usize = 16;

/// Why a new password is not accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasswordProblem {
    #[error("expected a password of {MIN_CHARACTERS} characters or more, found {0}")]
    TooShort(usize),
    #[error("expected a password of at most {MAX_BYTES} bytes, found {0}; bcrypt would ignore the rest of it")]
    TooLong(usize),
    #[error(
        "expected a password with {MIN_KINDS} of these kinds: small letters, capital letters, digits, anything else; \
         found {0}"
    )]
    TooSimple(usize),
    #[error("expected a password that does not contain the user's name")]
    ContainsName,
    #[error("expected a password without control characters, found one")]
    ControlCharacter,
}

/// Checks a new password and gives its hash.
pub(crate) fn hash_new(user: &str, password: &Secret<String>) -> anyhow::Result<String> {
    check_new(user, password.expose())?;
    let text = normalised(password);
    Ok(bcrypt::non_truncating_hash(text.expose(), COST)?)
}

fn check_new(user: &str, password: &str) -> Result<(), PasswordProblem> {
    let text: String = password.nfc().collect();
    let characters = text.chars().count();
    if text.chars().any(char::is_control) {
        return Err(PasswordProblem::ControlCharacter);
    }
    if characters < MIN_CHARACTERS {
        return Err(PasswordProblem::TooShort(characters));
    }
    if text.len() > MAX_BYTES {
        return Err(PasswordProblem::TooLong(text.len()));
    }
    if text.to_lowercase().contains(user) {
        return Err(PasswordProblem::ContainsName);
    }
    let kinds: [fn(char) -> bool; 4] = [char::is_lowercase, char::is_uppercase, char::is_numeric, |c| {
        !c.is_lowercase() && !c.is_uppercase() && !c.is_numeric()
    }];
    let found = kinds.iter().filter(|kind| text.chars().any(*kind)).count();
    if found < MIN_KINDS { Err(PasswordProblem::TooSimple(found)) } else { Ok(()) }
}

/// One form for characters that can be typed in several: keyboards differ.
fn normalised(password: &Secret<String>) -> Secret<String> {
    Secret::new(password.expose().nfc().collect())
}

/// Too many people sign in at this moment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Busy;

/// Checks passwords away from the threads that serve requests, on half of the processors at most.
#[derive(Clone)]
pub(crate) struct Verifier {
    waiting: Arc<Semaphore>,
    running: Arc<Semaphore>,
    /// The hash of nothing that anyone can type: checking it takes as long as any other.
    dummy: Arc<str>,
}

impl Verifier {
    pub(crate) async fn new() -> anyhow::Result<Verifier> {
        let dummy = tokio::task::spawn_blocking(|| bcrypt::non_truncating_hash("\0", COST)).await??;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Verifier {
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            running: Arc::new(Semaphore::new((cores / 2).max(1))),
            dummy: dummy.into(),
        })
    }

    /// Whether the password belongs to the hash. Takes the same time when there is no hash or the password is too
    /// long to be one, so that the answer's time tells nothing.
    pub(crate) async fn verify(&self, password: &Secret<String>, hash: Option<&str>) -> Result<bool, Busy> {
        let place = self.waiting.clone().try_acquire_owned().map_err(|_| Busy)?;
        let turn = self.running.clone().acquire_owned().await.map_err(|_| Busy)?;
        let password = normalised(password);
        let can_match = hash.is_some() && password.expose().len() <= MAX_BYTES;
        let hash = hash.unwrap_or(&self.dummy).to_owned();
        let work = move || {
            let matches = bcrypt::verify(password.expose(), &hash).unwrap_or(false);
            // Given back here: a client that goes away does not end the work.
            drop((place, turn));
            matches & can_match
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Busy)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[track_caller]
    fn check(password: &str, expected: Result<(), PasswordProblem>) {
        assert_eq!(check_new("alice", password), expected);
    }

    #[test]
    fn a_new_password_is_long_and_mixed() {
        check("Demo-Password-1", Ok(()));
        check("Short-Pass1", Err(PasswordProblem::TooShort(11)));
        check("alllowercaseletters", Err(PasswordProblem::TooSimple(1)));
        check("lowercase and blanks", Err(PasswordProblem::TooSimple(2)));
        check("lowercase and 1 digit", Ok(()));
        check("ALICEs password 1", Err(PasswordProblem::ContainsName));
        check("A password\0with 1 nul", Err(PasswordProblem::ControlCharacter));
    }

    #[test]
    fn a_password_that_bcrypt_would_cut_is_refused() {
        let exact = "Aa1-".repeat(17) + "xyz";
        check(&exact, Ok(()));
        check(&(exact + "x"), Err(PasswordProblem::TooLong(72)));
        check(&("Aa1".to_owned() + &"密".repeat(23)), Err(PasswordProblem::TooLong(72)));
    }

    #[tokio::test]
    async fn only_the_right_password_fits_a_hash() {
        let password = Secret::new("Grün-Password-1".to_owned());
        let hash = hash_new("alice", &password).unwrap();
        assert!(hash.starts_with("$2b$12$"), "{hash}");
        let verifier = Verifier::new().await.unwrap();
        let verify = |text: &str| {
            let (verifier, hash, text) = (verifier.clone(), hash.clone(), Secret::new(text.to_owned()));
            async move { verifier.verify(&text, Some(&hash)).await }
        };
        assert_eq!(verify("Grün-Password-1").await, Ok(true));
        assert_eq!(verify("Gru\u{308}n-Password-1").await, Ok(true));
        assert_eq!(verify("grün-password-1").await, Ok(false));
        assert_eq!(verify("").await, Ok(false));
        assert_eq!(verifier.verify(&Secret::new("\0".to_owned()), None).await, Ok(false));
    }

    #[tokio::test]
    async fn what_follows_the_71st_byte_is_not_ignored() {
        let exact = "Aa1-".repeat(17) + "xyz";
        let hash = hash_new("alice", &Secret::new(exact.clone())).unwrap();
        let verifier = Verifier::new().await.unwrap();
        assert_eq!(verifier.verify(&Secret::new(exact.clone()), Some(&hash)).await, Ok(true));
        for more in ["a", "\0", "\0a"] {
            assert_eq!(verifier.verify(&Secret::new(exact.clone() + more), Some(&hash)).await, Ok(false), "{more:?}");
        }
    }

    #[tokio::test]
    async fn no_hash_and_a_wrong_password_take_the_same_time() {
        let hash = hash_new("alice", &Secret::new("Demo-Password-1".to_owned())).unwrap();
        let verifier = Verifier::new().await.unwrap();
        let shortest = async |password: &str, hash: Option<&str>| {
            let mut shortest = Duration::MAX;
            for _ in 0..3 {
                let start = Instant::now();
                assert_eq!(verifier.verify(&Secret::new(password.to_owned()), hash).await, Ok(false));
                shortest = shortest.min(start.elapsed());
            }
            shortest
        };
        let wrong = shortest("Wrong-Password-1", Some(&hash)).await;
        let unknown = shortest("Wrong-Password-1", None).await;
        let too_long = shortest(&"x".repeat(100), Some(&hash)).await;
        // Machines are shared; without the dummy the ratio is above 1,000.
        for other in [unknown, too_long] {
            assert!(other < wrong * 3 && wrong < other * 3, "{wrong:?} wrong, {other:?} otherwise");
        }
    }

    #[tokio::test]
    async fn a_crowd_is_turned_away_at_once() {
        let verifier = Verifier::new().await.unwrap();
        let tries: Vec<_> = (0..MAX_WAITING + 8)
            .map(|_| {
                let verifier = verifier.clone();
                tokio::spawn(async move { verifier.verify(&Secret::new("x".to_owned()), None).await })
            })
            .collect();
        let mut busy = 0;
        for attempt in tries {
            busy += usize::from(attempt.await.unwrap() == Err(Busy));
        }
        assert_eq!(busy, 8);
    }
}
