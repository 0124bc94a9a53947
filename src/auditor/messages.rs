//! Messages: each is done once, with its effect in the same record, or given up once it is a dead letter.

use super::facts::{Fact, Id, OrderState, Work};
use super::model::Due;
use std::collections::BTreeMap;

#[derive(Debug)]
struct Open {
    work: Work,
    attempts: u32,
    is_dead: bool,
}

/// See the module.
#[derive(Default, Debug)]
pub struct Messages {
    /// None once it has ended.
    all: BTreeMap<Id, Option<Open>>,
    users: BTreeMap<Id, u64>,
}

impl Messages {
    pub fn take(&mut self, facts: &[Fact], due: &mut Due, whole: bool) -> Result<(), String> {
        for fact in facts {
            if let Fact::CardsIn { user, cards } = fact {
                self.users.extend(cards.iter().map(|(card, _)| (*card, *user)));
            }
        }
        for fact in facts {
            match fact {
                Fact::Queued { message, work } => {
                    let open = Open { work: *work, attempts: 0, is_dead: false };
                    if self.all.insert(*message, Some(open)).is_some() {
                        return Err(format!("message {message:x} is queued twice"));
                    }
                }
                Fact::Stumbled { message, .. }
                | Fact::Done { message }
                | Fact::PutBack { message }
                | Fact::GivenUp { message } => match self.all.get_mut(message) {
                    Some(known) => {
                        step(known, fact, facts, due, &self.users)
                            .map_err(|wrong| format!("message {message:x}: {wrong}"))?;
                    }
                    None if whole => return Err(format!("message {message:x} was never queued")),
                    None => {}
                },
                _ => {}
            }
        }
        Ok(())
    }
}

fn step(
    known: &mut Option<Open>,
    fact: &Fact,
    facts: &[Fact],
    due: &mut Due,
    users: &BTreeMap<Id, u64>,
) -> Result<(), String> {
    let Some(open) = known else { return Err(format!("{fact:?} after its end")) };
    match fact {
        Fact::Stumbled { attempt, is_dead, .. } if !open.is_dead && *attempt == open.attempts + 1 => {
            (open.attempts, open.is_dead) = (*attempt, *is_dead);
        }
        Fact::PutBack { .. } if open.is_dead => open.is_dead = false,
        Fact::Done { .. } if !open.is_dead => {
            match open.work {
                Work::DecideOrder(order) if !decides(facts, order) => {
                    return Err(format!("done, and order {order:x} is not decided"));
                }
                Work::PayCard(card, payout) => {
                    if let Some(user) = users.get(&card) {
                        due.money(*user, payout);
                    }
                }
                _ => {}
            }
            *known = None;
        }
        Fact::GivenUp { .. } if open.is_dead && !matches!(open.work, Work::PayCard(..)) => *known = None,
        _ => return Err(format!("{fact:?} of {open:?}")),
    }
    Ok(())
}

fn decides(facts: &[Fact], wanted: Id) -> bool {
    facts.iter().any(|fact| {
        matches!(fact, Fact::Advanced { order, to: OrderState::Processed | OrderState::Failed, .. }
            if *order == wanted)
    })
}
