//! HTML for people. Text of users is escaped by the template engine; there are no scripts.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{Environment, Value};
use serde::Serialize;
use tracing::error;

use crate::user::User;

pub(crate) struct Pages(Environment<'static>);

#[derive(Serialize)]
pub(crate) struct SignInPage<'a> {
    pub(crate) rd: &'a str,
    pub(crate) name: &'a str,
    /// Empty when there is none.
    pub(crate) problem: &'a str,
}

pub(crate) struct HomePage<'a> {
    pub(crate) user: &'a User,
    pub(crate) label: &'a str,
}

#[derive(Serialize)]
struct HomeView<'a> {
    name: &'a str,
    teams: &'a [String],
    platform: bool,
    label: &'a str,
}

impl Pages {
    pub(crate) fn new() -> Result<Pages, minijinja::Error> {
        let mut environment = Environment::new();
        // Names that end in .html turn on escaping.
        environment.add_template("sign-in.html", include_str!("../pages/sign-in.html"))?;
        environment.add_template("home.html", include_str!("../pages/home.html"))?;
        environment.add_template("problem.html", include_str!("../pages/problem.html"))?;
        Ok(Pages(environment))
    }

    pub(crate) fn sign_in(&self, status: StatusCode, page: &SignInPage<'_>) -> Response {
        self.render(status, "sign-in.html", Value::from(Serde(page)))
    }

    pub(crate) fn home(&self, page: &HomePage<'_>) -> Response {
        let HomePage { user, label } = page;
        let view = HomeView { name: &user.name, teams: &user.teams, platform: user.platform, label };
        self.render(StatusCode::OK, "home.html", Value::from(Serde(view)))
    }

    /// `origin` is where our pages are, for someone who came another way.
    pub(crate) fn problem(&self, status: StatusCode, origin: &str, text: &str) -> Response {
        #[derive(Serialize)]
        struct View<'a> {
            origin: &'a str,
            text: &'a str,
        }
        self.render(status, "problem.html", Value::from(Serde(View { origin, text })))
    }

    fn render(&self, status: StatusCode, name: &str, values: Value) -> Response {
        match self.0.get_template(name).and_then(|template| template.render(values)) {
            Ok(html) => (status, Html(html)).into_response(),
            Err(error) => {
                error!(%error, "failed to render a page");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

pub(crate) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("../pages/style.css"))
}

pub(crate) async fn icon() -> Response {
    asset("image/svg+xml", include_str!("../pages/icon.svg"))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
    ];
    (headers, text).into_response()
}
