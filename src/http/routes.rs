//! Which addresses exist and with which methods, read from the OpenAPI document: names routes in metrics and tells
//! "no such address" from "not with this method". No second list to keep in step.

use actix_web::http::Method;
use utoipa::openapi::OpenApi;

/// All templates, by their number of segments.
pub struct Routes {
    templates: Vec<Template>,
    by_length: Vec<Vec<usize>>,
}

struct Template {
    text: String,
    /// `None` stands for anything but nothing.
    segments: Vec<Option<String>>,
    methods: Vec<Method>,
}

impl Routes {
    pub fn of(document: &OpenApi) -> Self {
        let mut routes = Self { templates: Vec::new(), by_length: Vec::new() };
        for (path, item) in &document.paths.paths {
            let operations = [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ];
            let methods = operations.into_iter().filter(|(_, operation)| operation.is_some());
            routes.add(path, methods.map(|(method, _)| method).collect());
        }
        // Served by the bundled Swagger UI and so not in its document.
        for path in ["/docs", "/docs/", "/docs/{file}"] {
            routes.add(path, vec![Method::GET]);
        }
        routes
    }

    fn add(&mut self, text: &str, mut methods: Vec<Method>) {
        if let Some(get) = methods.iter().position(|method| *method == Method::GET) {
            methods.insert(get + 1, Method::HEAD);
        }
        let segments: Vec<_> =
            text.split('/').map(|part| (!part.starts_with('{')).then(|| part.to_owned())).collect();
        if self.by_length.len() <= segments.len() {
            self.by_length.resize_with(segments.len() + 1, Vec::new);
        }
        if let Some(same_length) = self.by_length.get_mut(segments.len()) {
            same_length.push(self.templates.len());
        }
        self.templates.push(Template { text: text.to_owned(), segments, methods });
    }

    /// The number of the template that a path follows, unescaped as the router has it; literal segments win over ids.
    pub fn find(&self, path: &str) -> Option<usize> {
        let candidates = self.by_length.get(path.split('/').count())?;
        let follows =
            |index: &&usize| {
                self.templates.get(**index).is_some_and(|template| {
                    template.segments.iter().zip(path.split('/')).all(|(wanted, part)| {
                        wanted.as_ref().map_or(!part.is_empty(), |wanted| wanted == part)
                    })
                })
            };
        let literal = |index: &&usize| {
            self.templates.get(**index).map(|template| template.segments.iter().flatten().count())
        };
        candidates.iter().filter(follows).max_by_key(literal).copied()
    }

    /// The template with that number; anything else is "unmatched".
    pub fn name(&self, index: Option<usize>) -> &str {
        index.and_then(|index| self.templates.get(index)).map_or("unmatched", |template| &template.text)
    }

    /// The methods that an existing address understands, as an `Allow` header lists them.
    pub fn allowed(&self, path: &str) -> Option<String> {
        let template = self.templates.get(self.find(path)?)?;
        Some(template.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", "))
    }

    pub fn len(&self) -> usize {
        self.templates.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_its_methods() {
        let routes = Routes::of(&crate::http::app::document());
        assert_eq!(routes.allowed("/api/v1/items/7/purchase").as_deref(), Some("POST"));
        assert_eq!(routes.allowed("/api/v1/items/7").as_deref(), Some("GET, HEAD, PATCH, DELETE"));
        assert_eq!(routes.allowed("/api/v1/items/"), None);
        assert_eq!(routes.allowed("/api/v1/nothing"), None);
        assert_eq!(routes.name(routes.find("/api/v1/orders/x/cancel")), "/api/v1/orders/{id}/cancel");
        assert_eq!(routes.name(None), "unmatched");
    }
}
