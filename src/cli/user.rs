//! `purser user create` and `purser user token`, by a running server's admin.

use super::api;
use super::args::UserVerb;
use super::client::{Call, blocking};
use super::failure::{Exit, Failure};
use super::report::{emit, print_json};
use super::server::running;
use super::stdin::first_line;
use serde_json::{Value, json};

pub fn run(verb: UserVerb) -> Result<Exit, Failure> {
    match verb {
        UserVerb::Create { email, admin, name, password_stdin, server } => {
            let (url, token) = running(&server)?;
            let name = name.unwrap_or_else(|| email.split('@').next().unwrap_or_default().to_owned());
            let role = if admin { "admin" } else { "user" };
            let mut body = json!({ "name": name, "email": email, "role": role });
            if password_stdin {
                body["password"] = Value::String(first_line("the password")?);
            }
            let call = Call::post("/api/v1/users", body).bearer(&token).key(api::new_key());
            let user: Value = blocking(&url, async |client| client.patiently(&call).await)?;
            if server.json {
                print_json(&user);
            } else {
                emit(&format!("{role} {} created: {email}\n", user["id"]));
            }
        }
        UserVerb::Token { email, server } => {
            let (url, token) = running(&server)?;
            let wanted = email.to_lowercase();
            let answer: Value = blocking(&url, async |client| {
                let same = |user: &api::User| user.email.to_lowercase() == wanted;
                let Some(user) = api::find_user(client, &token, &email, same).await? else {
                    let advice = "`purser user create --email` makes one";
                    return Err(Failure::new(
                        Exit::Violation,
                        format!("no user has the email {email}; {advice}"),
                    ));
                };
                let path = format!("/api/v1/users/{}/token", user.id);
                Ok(client.patiently(&Call::post(path, json!({})).bearer(&token)).await?)
            })?;
            match answer["access_token"].as_str() {
                // Alone on its line, so that a shell can take it: PURSER_TOKEN=$(purser user token …).
                Some(access) if !server.json => emit(&format!("{access}\n")),
                _ => print_json(&answer),
            }
        }
    }
    Ok(Exit::Clean)
}
