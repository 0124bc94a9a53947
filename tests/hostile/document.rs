//! The operations as the OpenAPI document lists them, read when the test runs: a new one cannot be forgotten.

use serde_json::Value;
use std::path::Path;

/// One method of one address.
pub struct Operation {
    pub method: &'static str,
    /// With the names of its parameters in braces.
    pub path: String,
    /// The parameters of its query.
    pub query: Vec<String>,
    /// The fields of its JSON body and whether they are required; `None` if it has no such body.
    pub fields: Option<Vec<(String, bool)>>,
}

impl Operation {
    /// As the tables of these tests call it.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

pub fn operations() -> Vec<Operation> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let text = std::fs::read_to_string(path).expect("the document");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("operations") {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let query = parameters.filter(|parameter| parameter["in"] == "query");
            let query = query.map(|parameter| parameter["name"].as_str().expect("a name").to_owned());
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            found.push(Operation {
                method: known(method),
                path: path.clone(),
                query: query.collect(),
                fields: body.is_object().then(|| fields(&document, body)),
            });
        }
    }
    assert!(found.len() > 50, "the document lists {} operations", found.len());
    found
}

fn known(method: &str) -> &'static str {
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    let found = methods.into_iter().find(|known| known.eq_ignore_ascii_case(method));
    found.unwrap_or_else(|| panic!("{method}: a method that these tests do not know"))
}

fn fields(document: &Value, schema: &Value) -> Vec<(String, bool)> {
    if let Some(choices) = schema["oneOf"].as_array() {
        let object = choices.iter().find(|choice| choice["$ref"].is_string());
        return fields(document, object.expect("one that is an object"));
    }
    if let Some(reference) = schema["$ref"].as_str() {
        return fields(document, document.pointer(&reference[1..]).expect("a schema of the document"));
    }
    let is_required = |name: &String| {
        schema["required"].as_array().into_iter().flatten().any(|required| required == name.as_str())
    };
    let properties = schema["properties"].as_object().expect("an object's fields");
    properties.keys().map(|name| (name.clone(), is_required(name))).collect()
}
