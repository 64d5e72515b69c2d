//! Users and sessions in SQLite. The only place with SQL.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use crate::session::SessionId;
use crate::user::User;

/// SQLite writes one at a time; more connections only help readers.
const CONNECTIONS: u32 = 8;
/// The command line and the daemon may write at the same moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Each use of a session moves its end; writing that down once a minute is precise enough for hours.
const TOUCH_AFTER: Duration = Duration::from_secs(60);

/// Why the database did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("failed to open database `{}`: {error}", path.display())]
    Open { path: PathBuf, error: sqlx::Error },
    #[error("failed to create database `{}`: {error}", path.display())]
    Create { path: PathBuf, error: std::io::Error },
    #[error("failed to bring database `{}` up to date: {error}", path.display())]
    Migrate { path: PathBuf, error: sqlx::migrate::MigrateError },
    #[error("user `{0}` exists already; `user passwd` sets a new password")]
    Exists(String),
    #[error("user `{0}` does not exist; `user list` shows those that do")]
    Unknown(String),
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

/// Clones share the connections.
#[derive(Clone)]
pub(crate) struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens the database, creates it where there is none, and brings its tables up to date.
    pub(crate) async fn open(path: &Path) -> Result<Store, StoreError> {
        // SQLite's own files follow the mode of this one: hashes are nobody else's business.
        let created = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        created.map_err(|error| StoreError::Create { path: path.to_owned(), error })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await;
        let pool = pool.map_err(|error| StoreError::Open { path: path.to_owned(), error })?;
        let migrated = sqlx::migrate!().run(&pool).await;
        migrated.map_err(|error| StoreError::Migrate { path: path.to_owned(), error })?;
        Ok(Store { pool })
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) async fn add_user(&self, user: &User, hash: &str) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        let insert = "INSERT INTO users (name, password_hash, platform, created_at, changed_at) \
                      VALUES ($1, $2, $3, $4, $4) ON CONFLICT (name) DO NOTHING";
        let inserted = sqlx::query(insert)
            .bind(&user.name)
            .bind(hash)
            .bind(user.platform)
            .bind(now())
            .execute(&mut *transaction)
            .await?;
        if inserted.rows_affected() == 0 {
            return Err(StoreError::Exists(user.name.clone()));
        }
        for team in &user.teams {
            sqlx::query("INSERT INTO user_teams (user_name, team) VALUES ($1, $2)")
                .bind(&user.name)
                .bind(team)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn users(&self) -> Result<Vec<User>, StoreError> {
        let rows: Vec<(String, bool)> =
            sqlx::query_as("SELECT name, platform FROM users ORDER BY name").fetch_all(&self.pool).await?;
        let mut users = Vec::with_capacity(rows.len());
        for (name, platform) in rows {
            let teams = self.teams(&name).await?;
            users.push(User { name, teams, platform });
        }
        Ok(users)
    }

    async fn teams(&self, name: &str) -> Result<Vec<String>, StoreError> {
        let teams = sqlx::query_scalar("SELECT team FROM user_teams WHERE user_name = $1 ORDER BY team");
        Ok(teams.bind(name).fetch_all(&self.pool).await?)
    }

    pub(crate) async fn password_hash(&self, name: &str) -> Result<Option<String>, StoreError> {
        let hash = sqlx::query_scalar("SELECT password_hash FROM users WHERE name = $1");
        Ok(hash.bind(name).fetch_optional(&self.pool).await?)
    }

    /// Sets a new password and ends every session of the user.
    pub(crate) async fn set_password(&self, name: &str, hash: &str) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        let updated = sqlx::query("UPDATE users SET password_hash = $2, changed_at = $3 WHERE name = $1")
            .bind(name)
            .bind(hash)
            .bind(now())
            .execute(&mut *transaction)
            .await?;
        if updated.rows_affected() == 0 {
            return Err(StoreError::Unknown(name.to_owned()));
        }
        sqlx::query("DELETE FROM sessions WHERE user_name = $1").bind(name).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Deletes a user, and with it their teams and sessions.
    pub(crate) async fn delete_user(&self, name: &str) -> Result<(), StoreError> {
        let deleted = sqlx::query("DELETE FROM users WHERE name = $1").bind(name).execute(&self.pool).await?;
        if deleted.rows_affected() == 0 { Err(StoreError::Unknown(name.to_owned())) } else { Ok(()) }
    }

    /// Begins a session of `name`, provided that the password is still the one that was checked.
    pub(crate) async fn begin_session(&self, id: &SessionId, name: &str, hash: &str) -> Result<bool, StoreError> {
        let insert = "INSERT INTO sessions (id_hash, user_name, created_at, seen_at) \
                      SELECT $1, name, $4, $4 FROM users WHERE name = $2 AND password_hash = $3";
        let inserted =
            sqlx::query(insert).bind(id.hash()).bind(name).bind(hash).bind(now()).execute(&self.pool).await?;
        Ok(inserted.rows_affected() == 1)
    }

    /// Whose session this is, unless it was idle for too long; using it moves its end.
    pub(crate) async fn session_user(&self, id: &SessionId, idle: Duration) -> Result<Option<User>, StoreError> {
        let select = "SELECT name, platform, seen_at FROM sessions JOIN users ON name = user_name WHERE id_hash = $1";
        let row: Option<(String, bool, i64)> =
            sqlx::query_as(select).bind(id.hash()).fetch_optional(&self.pool).await?;
        let Some((name, platform, seen_at)) = row else { return Ok(None) };
        let now = now();
        let unused = Duration::from_millis(u64::try_from(now - seen_at).unwrap_or(0));
        if unused > idle {
            self.end_session(id).await?;
            return Ok(None);
        }
        if unused > TOUCH_AFTER.min(idle / 10) {
            let touch = sqlx::query("UPDATE sessions SET seen_at = $2 WHERE id_hash = $1 AND seen_at < $2");
            touch.bind(id.hash()).bind(now).execute(&self.pool).await?;
        }
        let teams = self.teams(&name).await?;
        Ok(Some(User { name, teams, platform }))
    }

    pub(crate) async fn end_session(&self, id: &SessionId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE id_hash = $1").bind(id.hash()).execute(&self.pool).await?;
        Ok(())
    }

    /// Deletes the sessions that nobody can use any more; gives their number.
    pub(crate) async fn delete_idle_sessions(&self, idle: Duration) -> Result<u64, StoreError> {
        let oldest = now() - i64::try_from(idle.as_millis()).unwrap_or(i64::MAX);
        let deleted = sqlx::query("DELETE FROM sessions WHERE seen_at < $1").bind(oldest).execute(&self.pool).await?;
        Ok(deleted.rows_affected())
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
