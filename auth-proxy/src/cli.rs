//! `lynceus-auth-proxy user`: who may sign in, managed on the machine that has the database.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use lynceus_service::{Secret, SecretSource, load};

use crate::config::Config;
use crate::password;
use crate::store::Store;
use crate::user::{User, is_team, user_name};

/// Add, list and delete users, and set their passwords
#[derive(Debug, clap::Args)]
pub struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,

    /// Config file, which names the database
    #[arg(long = "config.file", value_name = "FILE", default_value = "auth-proxy.yml", global = true)]
    config_file: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
enum UserCommand {
    /// Add a user; the password comes from standard input or --password-file
    Add {
        /// Name to sign in with: small letters, digits and . _ - @
        name: String,
        /// Team whose series the user sees; may be repeated
        #[arg(long = "team", value_name = "TEAM")]
        teams: Vec<String>,
        /// The user sees every series, also those without a team
        #[arg(long)]
        platform: bool,
        /// File with the password, in place of standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// List all users with their teams
    List,
    /// Set a new password and end all sessions of the user
    Passwd {
        /// Name of the user
        name: String,
        /// File with the password, in place of standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Delete a user and end all their sessions
    Delete {
        /// Name of the user
        name: String,
    },
}

/// Does what the command line asks for.
pub async fn manage_users(args: UserArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let config: Config = load(&args.config_file)?;
    let store = Store::open(&config.database).await?;
    let done = manage(args.command, &store, out).await;
    store.close().await;
    done
}

async fn manage(command: UserCommand, store: &Store, out: &mut dyn Write) -> anyhow::Result<()> {
    match command {
        UserCommand::Add { name, mut teams, platform, password_file } => {
            let name = known_form(&name)?;
            if let Some(team) = teams.iter().find(|team| !is_team(team)) {
                bail!("expected a team of 1 to 64 bytes without blanks around it, found `{team}`");
            }
            teams.sort();
            teams.dedup();
            let hash = password::hash_new(&name, &read_password(password_file.as_deref())?)?;
            let sees_nothing = teams.is_empty() && !platform;
            store.add_user(&User { name: name.clone(), teams, platform }, &hash).await?;
            let note = if sees_nothing { ", who sees nothing without --team or --platform" } else { "" };
            writeln!(out, "added {name}{note}")?;
        }
        UserCommand::List => {
            for user in store.users().await? {
                let sees = match (user.platform, user.teams.join(", ")) {
                    (true, teams) if teams.is_empty() => "everything (platform)".to_owned(),
                    (true, teams) => format!("everything (platform); teams: {teams}"),
                    (false, teams) if teams.is_empty() => "nothing".to_owned(),
                    (false, teams) => teams,
                };
                writeln!(out, "{:<24} {sees}", user.name)?;
            }
        }
        UserCommand::Passwd { name, password_file } => {
            let name = known_form(&name)?;
            let hash = password::hash_new(&name, &read_password(password_file.as_deref())?)?;
            store.set_password(&name, &hash).await?;
            writeln!(out, "set the password of {name} and ended their sessions")?;
        }
        UserCommand::Delete { name } => {
            let name = known_form(&name)?;
            store.delete_user(&name).await?;
            writeln!(out, "deleted {name}")?;
        }
    }
    Ok(())
}

fn known_form(name: &str) -> anyhow::Result<String> {
    let expected = "expected a name of 1 to 64 small letters, digits and `.`, `_`, `-`, `@`, a letter or digit first";
    user_name(name).with_context(|| format!("{expected}, found `{name}`"))
}

fn read_password(file: Option<&Path>) -> anyhow::Result<Secret<String>> {
    if let Some(file) = file {
        return Ok(SecretSource::File(file.to_owned()).read()?);
    }
    let mut input = std::io::stdin();
    if input.is_terminal() {
        bail!("expected the password from a pipe or in `--password-file`: a terminal would show it");
    }
    let mut text = String::new();
    input.read_to_string(&mut text).context("failed to read the password from standard input")?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}
