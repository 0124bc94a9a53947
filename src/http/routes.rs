//! Which addresses exist and with which methods, read from the OpenAPI document: names routes in metrics and tells
//! "no such address" from "not with this method". No second list to keep in step.

use actix_web::http::Method;
use std::str::Split;
use utoipa::openapi::OpenApi;

/// All templates, as a tree of segments: it is walked for every request.
pub struct Routes {
    templates: Vec<Template>,
    /// The first is the root.
    nodes: Vec<Node>,
}

struct Template {
    text: String,
    methods: Vec<Method>,
}

#[derive(Default)]
struct Node {
    /// Where a segment of just this text leads.
    literals: Vec<(String, usize)>,
    /// Where any other segment leads that is not empty.
    id: Option<usize>,
    /// The template that ends here.
    template: Option<usize>,
}

impl Routes {
    pub fn of(document: &OpenApi) -> Self {
        let mut routes = Self { templates: Vec::new(), nodes: vec![Node::default()] };
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
        let mut place = 0;
        for segment in text.split('/') {
            place = self.child(place, segment);
        }
        self.nodes[place].template = Some(self.templates.len());
        self.templates.push(Template { text: text.to_owned(), methods });
    }

    /// The node behind a segment of a template, made if need be.
    fn child(&mut self, parent: usize, segment: &str) -> usize {
        let fresh = self.nodes.len();
        let node = &mut self.nodes[parent];
        let found = if segment.starts_with('{') {
            *node.id.get_or_insert(fresh)
        } else if let Some((_, known)) = node.literals.iter().find(|(text, _)| text == segment) {
            *known
        } else {
            node.literals.push((segment.to_owned(), fresh));
            fresh
        };
        if found == fresh {
            self.nodes.push(Node::default());
        }
        found
    }

    /// The number of the template that a path follows, unescaped as the router has it; literal segments win over ids.
    pub fn find(&self, path: &str) -> Option<usize> {
        self.follow(0, path.split('/'))
    }

    fn follow(&self, place: usize, mut rest: Split<'_, char>) -> Option<usize> {
        let node = self.nodes.get(place)?;
        let Some(segment) = rest.next() else { return node.template };
        let literal = node.literals.iter().find(|(text, _)| text == segment);
        literal
            .and_then(|(_, next)| self.follow(*next, rest.clone()))
            .or_else(|| self.follow(node.id.filter(|_| !segment.is_empty())?, rest))
    }

    /// The template with that number; anything else is "unmatched".
    pub fn name(&self, index: Option<usize>) -> &str {
        index.and_then(|index| self.templates.get(index)).map_or("unmatched", |template| &template.text)
    }

    /// The methods that an existing address understands, as an `Allow` header lists them, if this is none of them.
    pub fn allowed_instead(&self, index: Option<usize>, method: &Method) -> Option<String> {
        let template = self.templates.get(index?)?;
        let is_understood = template.methods.contains(method);
        (!is_understood).then(|| template.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", "))
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
        let routes = Routes::of(&crate::http::document::document());
        let instead = |path, method: &Method| routes.allowed_instead(routes.find(path), method);
        let allowed = |path| instead(path, &Method::TRACE);
        assert_eq!(allowed("/api/v1/items/7/purchase").as_deref(), Some("POST"));
        assert_eq!(allowed("/api/v1/items/7").as_deref(), Some("GET, HEAD, PATCH, DELETE"));
        assert_eq!(allowed("/api/v1/items/"), None);
        assert_eq!(allowed("/api/v1/nothing"), None);
        assert_eq!(routes.name(routes.find("/api/v1/orders/x/cancel")), "/api/v1/orders/{id}/cancel");
        assert_eq!(routes.name(None), "unmatched");
        assert_eq!(allowed("/api/v1/items/7/purchase/now"), None);
        assert_eq!(allowed(""), None);
        assert_eq!(instead("/api/v1/items/7", &Method::PATCH), None);
        assert_eq!(instead("/api/v1/redemptions/batches", &Method::GET).as_deref(), Some("POST"));
    }
}
