//! Grafana's classic dashboard JSON.

use serde_json::{Value, json};

use crate::board::{Board, Kind, Panel, Variable};

/// Grafana migrates a board whose version is lower than its own when it loads it, so this one is rather low.
const SCHEMA_VERSION: u32 = 39;
const COLUMNS: u32 = 24;

/// The board as a file. `datasource_uid` is the data source that is chosen first; all others can be chosen on the board.
pub(crate) fn json(board: &Board, datasource_uid: &str) -> String {
    let value = json!({
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": board.tags,
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        // Provisioned boards cannot be saved: changes belong into the source.
        "editable": false,
        // A cross hair in all panels at once.
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "1m",
        "time": { "from": "now-6h", "to": "now" },
        "annotations": { "list": [alerts()] },
        "templating": { "list": variables(board, datasource_uid) },
        "panels": panels(board.panels),
    });
    format!("{value:#}\n")
}

fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// Where alerts of the chosen vCenters began and ended.
fn alerts() -> Value {
    json!({
        "name": "Alerts",
        "datasource": datasource(),
        "enable": true,
        "expr": "ALERTS{alertstate=\"firing\", alertname=~\"Vsphere.+\", vcenter=~\"$vcenter\"}",
        "titleFormat": "{{alertname}}",
        "textFormat": "{{vcenter}} {{host}} {{vm}}",
        "iconColor": "red",
    })
}

fn variables(board: &Board, datasource_uid: &str) -> Vec<Value> {
    let source = json!({
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": { "text": datasource_uid, "value": datasource_uid },
    });
    std::iter::once(source).chain(board.variables.iter().map(variable)).collect()
}

fn variable(variable: &Variable) -> Value {
    json!({
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": datasource(),
        "query": { "query": variable.query, "refId": variable.name },
        "definition": variable.query,
        // On load and when the time range changes: teams come and go.
        "refresh": 2,
        "sort": 1,
        "multi": true,
        "includeAll": true,
        "allValue": ".*",
        "current": { "text": ["All"], "value": ["$__all"] },
    })
}

fn panels(panels: &[Panel]) -> Vec<Value> {
    let (mut x, mut y, mut row_height) = (0, 0, 0);
    let mut placed = Vec::new();
    for (index, panel) in panels.iter().enumerate() {
        if x + panel.width > COLUMNS {
            (x, y, row_height) = (0, y + row_height, 0);
        }
        let position = json!({ "x": x, "y": y, "w": panel.width, "h": panel.height });
        placed.push(self::panel(panel, index + 1, position));
        x += panel.width;
        row_height = row_height.max(panel.height);
    }
    placed
}

fn panel(panel: &Panel, id: usize, position: Value) -> Value {
    json!({
        "id": id,
        "title": panel.title,
        "description": panel.description,
        "type": match panel.kind {
            Kind::Stat => "stat",
            Kind::TimeSeries | Kind::Stacked => "timeseries",
            Kind::Bars => "bargauge",
        },
        "gridPos": position,
        "datasource": datasource(),
        "targets": targets(panel),
        "fieldConfig": { "defaults": field(panel), "overrides": [] },
        "options": options(panel.kind),
    })
}

fn targets(panel: &Panel) -> Vec<Value> {
    let instant = matches!(panel.kind, Kind::Stat | Kind::Bars);
    let letters = 'A'..='Z';
    let target = |(letter, query): (char, &crate::board::Query)| {
        json!({
            "refId": letter,
            "datasource": datasource(),
            "expr": query.expr,
            "legendFormat": query.legend,
            "instant": instant,
            "range": !instant,
        })
    };
    letters.zip(panel.queries).map(target).collect()
}

fn field(panel: &Panel) -> Value {
    let mut steps = vec![json!({ "color": "green", "value": null })];
    if let Some((amber, red)) = panel.limits {
        if amber < red {
            steps.push(json!({ "color": "orange", "value": amber }));
        }
        steps.push(json!({ "color": "red", "value": red }));
    }
    let lines = matches!(panel.kind, Kind::TimeSeries | Kind::Stacked);
    let by_limits = panel.limits.is_some() && !lines;
    let mut field = json!({
        "unit": panel.unit.id(),
        "min": 0,
        "thresholds": { "mode": "absolute", "steps": steps },
        "color": { "mode": if by_limits { "thresholds" } else { "palette-classic" } },
    });
    if lines {
        field["custom"] = json!({
            "lineWidth": 1,
            "fillOpacity": if panel.kind == Kind::Stacked { 30 } else { 0 },
            "stacking": { "mode": if panel.kind == Kind::Stacked { "normal" } else { "none" } },
            "thresholdsStyle": { "mode": if panel.limits.is_some() { "line" } else { "off" } },
            // A gap in the data is a gap in the line.
            "spanNulls": false,
        });
    }
    if panel.kind == Kind::Bars {
        field["max"] = json!(1);
    }
    field
}

fn options(kind: Kind) -> Value {
    let last = json!({ "calcs": ["lastNotNull"] });
    match kind {
        Kind::Stat => json!({ "reduceOptions": last, "colorMode": "value", "graphMode": "none", "textMode": "auto" }),
        Kind::Bars => json!({ "reduceOptions": last, "orientation": "horizontal", "displayMode": "basic" }),
        Kind::TimeSeries | Kind::Stacked => json!({
            "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true },
            "tooltip": { "mode": "multi", "sort": "desc" },
        }),
    }
}
