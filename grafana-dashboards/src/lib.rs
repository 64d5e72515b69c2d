//! Grafana boards from one source: the data in `boards/` becomes JSON that Grafana loads, and the files that tell it to.
//!
//! `board` says what a board is made of, `boards/` holds them, `grafana` writes Grafana's JSON, [`files`] everything.
//! It is Grafana's classic schema, the default before Grafana 13, which later ones still load from files.
//! <https://grafana.com/docs/grafana/latest/visualizations/dashboards/build-dashboards/view-dashboard-json-model/>
//!
//! Never: it speaks to no Grafana and to no Prometheus.

mod board;
mod boards;
mod grafana;
mod provisioning;

use std::path::{Path, PathBuf};

pub use provisioning::Options;

/// A file to write, below the output folder.
pub struct File {
    /// Relative path.
    pub path: &'static str,
    /// Content.
    pub text: String,
}

/// All files.
pub fn files(options: &Options) -> Vec<File> {
    let mut files: Vec<_> = boards::ALL
        .iter()
        .map(|board| File { path: board.file, text: grafana::json(board, &options.datasource_uid) })
        .collect();
    files.push(File { path: "provisioning/dashboards/lynceus.yml", text: provisioning::dashboards(options) });
    files.push(File { path: "provisioning/datasources/lynceus.yml", text: provisioning::datasources(options) });
    files
}

/// A query of a panel, as tests look at it.
pub struct PanelQuery {
    /// Title of the panel.
    pub panel: &'static str,
    /// PromQL with Grafana's variables in it.
    pub expr: &'static str,
}

/// Every query of every board.
pub fn queries() -> impl Iterator<Item = PanelQuery> {
    let panels = boards::ALL.iter().flat_map(|board| board.panels);
    panels.flat_map(|panel| panel.queries.iter().map(|query| PanelQuery { panel: panel.title, expr: query.expr }))
}

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write `{path}`", path = path.display())]
pub struct WriteError {
    path: PathBuf,
    source: std::io::Error,
}

/// Writes all files below `out`; gives their paths.
pub fn generate(out: &Path, options: &Options) -> Result<Vec<PathBuf>, WriteError> {
    let write = |file: File| {
        let path = out.join(file.path);
        let folder = path.parent().unwrap_or(out);
        match std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, file.text)) {
            Ok(()) => Ok(path),
            Err(source) => Err(WriteError { path, source }),
        }
    };
    files(options).into_iter().map(write).collect()
}
