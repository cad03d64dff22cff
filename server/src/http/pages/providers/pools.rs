//! Pools on the page of providers: each is a form with a line for every provider.

use axum::{
    Form,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use serde::Serialize;

use super::{Ctx, Rejection, Visitor, problem, providers, show_list};
use crate::{
    app::{Error, tag},
    domain::provider::{Pool, PoolMember},
};

/// A pool as a form.
#[derive(Serialize)]
pub(super) struct PoolView {
    name: String,
    members: Vec<MemberView>,
    /// What it looked like.
    expected: String,
}

#[derive(Serialize)]
struct MemberView {
    provider: String,
    belongs: bool,
    order: i32,
    weight: u32,
}

impl PoolView {
    /// A pool, with every provider that there is.
    pub(super) fn new(pool: &Pool, providers: &[String]) -> Self {
        let member = |name: &String| {
            let found = pool.members.iter().find(|member| member.provider == *name);
            MemberView {
                provider: name.clone(),
                belongs: found.is_some(),
                order: found.map_or(0, |member| member.order),
                weight: found.map_or(1, |member| member.weight),
            }
        };
        let members = providers.iter().map(member).collect();
        Self { name: pool.name.clone(), members, expected: tag::of(pool) }
    }

    /// One that does not exist yet: all providers, one as good as the other.
    pub(super) fn fresh(providers: &[String]) -> Self {
        let member =
            |name: &String| MemberView { provider: name.clone(), belongs: true, order: 0, weight: 1 };
        Self { name: String::new(), members: providers.iter().map(member).collect(), expected: String::new() }
    }
}

/// The members that a form names: `member`, and of each its order and its weight.
fn members(pairs: &[(String, String)]) -> Result<Vec<PoolMember>, Error> {
    let number = |kind: &str, provider: &str| -> Option<&str> {
        let name = format!("{kind}.{provider}");
        pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.trim())
    };
    let wrong = |provider: &str| {
        Error::invalid(
            format!("order and weight of {provider} must be numbers"),
            "the lowest order is tried first; weights share the same order",
        )
    };
    pairs
        .iter()
        .filter(|(name, _)| name == "member")
        .map(|(_, provider)| {
            Ok(PoolMember {
                provider: provider.clone(),
                order: number("order", provider).unwrap_or("0").parse().map_err(|_| wrong(provider))?,
                weight: number("weight", provider).unwrap_or("1").parse().map_err(|_| wrong(provider))?,
            })
        })
        .collect()
}

pub(super) async fn set(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, Rejection> {
    let value = |name: &str| {
        pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim()).unwrap_or_default()
    };
    let expected = Some(value("expected")).filter(|expected| !expected.is_empty());
    let kept = match members(&pairs) {
        Ok(members) => providers::set_pool(&ctx, value("name"), &members, expected).await,
        Err(error) => Err(error),
    };
    match kept {
        Ok(_) => Ok(Redirect::to("/providers").into_response()),
        Err(error) => {
            let problem = Some(problem::mendable(error)?);
            Ok(show_list(&ctx, &visitor, problem).await?.into_response())
        }
    }
}

pub(super) async fn delete(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Redirect, Rejection> {
    providers::delete_pool(&ctx, &name).await?;
    Ok(Redirect::to("/providers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_are_chosen_belong_to_a_pool() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let typed = [
            pair("member", "north"),
            pair("order.north", " 2 "),
            pair("weight.north", "3"),
            pair("order.south", "0"),
        ];
        let found = members(&typed).unwrap();
        assert_eq!(found, [PoolMember { provider: "north".to_owned(), order: 2, weight: 3 }]);
        assert!(members(&[pair("member", "north"), pair("weight.north", "-1")]).is_err());
    }
}
