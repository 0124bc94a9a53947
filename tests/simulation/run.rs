//! One run: an engine that lives several times on one disk, before one store, with clients that note what they are told; and the
//! judgement over all of it. Everything follows from the seed.

use super::chance::Chance;
use super::clients::{Request, Shop};
use super::clock::SimulatedClock;
use super::database;
use super::figures::Figures;
use super::life::{self, LifeEnd};
use super::plan::{Mixture, Plan};
use super::provider::SimulatedProvider;
use super::rows;
use super::store::{self, LineFigures, Lost, SimulatedStore};
use actix_rt::System;
use purser::auditor::{self, Call};
use purser::domain::{Record, Seq};
use purser::journal::ReadError;
use purser::journal::disk::Disk;
use purser::journal::reader::{self, Survey};
use purser::journal::simulated::{Fault, Kind, SimulatedDisk};
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// A request under a key that nobody has heard the answer of.
#[derive(Clone, Debug)]
pub struct Unheard {
    /// Among the calls, if it is of a kind that histories have.
    pub place: Option<usize>,
    pub request: Request,
    pub key: String,
}

/// What outlives an engine's life.
pub struct Run {
    pub chance: Chance,
    pub mixture: Mixture,
    pub clock: Arc<SimulatedClock>,
    pub store: Arc<SimulatedStore>,
    pub provider: SimulatedProvider,
    pub shop: Shop,
    pub calls: Vec<Call>,
    pub unheard: Vec<Unheard>,
    /// Every record that was durable once, in order.
    pub witness: Vec<Record>,
    pub figures: Figures,
    /// The first thing that must not be.
    pub wrong: Option<String>,
    /// Moments of the clock that all clients share.
    pub moment: u64,
    pub keys: u64,
    /// The disk of the current life, if a fault of it is planned.
    pub faulty: Option<SimulatedDisk>,
}

impl Run {
    pub fn tick(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    pub fn object(&mut self, wrong: impl Into<String>) {
        let wrong = wrong.into();
        self.wrong.get_or_insert(wrong);
    }

    /// Nobody knows whether that was done, which only a disk that has failed leaves open: a stop lets all that it took in come to
    /// its end, and after a kill nobody is told anything.
    pub fn leave_open(&mut self, request: &Request) {
        if !self.faulty.as_ref().is_some_and(|disk| disk.has_failed()) {
            self.object(format!("the outcome is unknown, and no disk has failed: {request:?}"));
        }
    }

    /// What the disk holds continues what was seen to be durable, and changes none of it.
    pub fn compare(&mut self, disk: &SimulatedDisk) {
        let records = match read(disk) {
            Ok((records, _)) => records,
            Err(error) => return self.object(format!("the journal cannot be read: {error}")),
        };
        let known = self.witness.len() as u64;
        if let Some(first) = records.first()
            && first.seq.get() > known + 1
        {
            return self.object(format!("the journal begins at {}, known is {known}", first.seq));
        }
        let last = records.last().map_or(0, |record| record.seq.get());
        let stored = store::stands_at(&self.store).get();
        if last.max(stored) < known {
            return self
                .object(format!("{known} records were durable, {last} are left, {stored} are stored"));
        }
        for record in records {
            let place = usize::try_from(record.seq.get() - 1).expect("an index");
            match self.witness.get(place) {
                Some(seen) if *seen != record => {
                    return self.object(format!("record {} was {seen:?} and is {record:?}", record.seq));
                }
                Some(_) => {}
                None => self.witness.push(record),
            }
        }
    }

    /// The whole history, against the model, and the store's rows, against the history.
    fn judge(&mut self) {
        let stored = store::stands_at(&self.store).get();
        if stored != self.witness.len() as u64 {
            return self.object(format!("{} records were durable, {stored} are stored", self.witness.len()));
        }
        let journal: Vec<_> = self.witness.iter().map(auditor::entry).collect();
        match auditor::check(&journal, &self.calls) {
            Ok(figures) => {
                self.figures.records = figures.records;
                self.figures.acknowledged = figures.done as u64;
                self.figures.refused = figures.refused as u64;
                self.figures.read = figures.read as u64;
                self.figures.unheard_there = figures.unheard_there as u64;
                self.figures.unheard_not = figures.unheard_not as u64;
            }
            Err(wrong) => self.object(wrong),
        }
        [self.figures.doubts, self.figures.unanswered, self.figures.cards] = self.provider.figures();
        if let Err(wrong) = self.provider.compare(&self.witness) {
            self.object(wrong);
        }
        if let Err(wrong) = rows::compare(&self.store, &self.witness) {
            self.object(wrong);
        }
    }
}

/// All records that a disk holds, in order, and where they stand.
pub fn read(disk: &SimulatedDisk) -> Result<(Vec<Record>, Survey), ReadError> {
    let mut records = Vec::new();
    let survey = reader::read(disk, Seq::new(1), |record, _| {
        records.push(record);
        Ok(())
    })?;
    Ok((records, survey))
}

/// What came of a run.
#[allow(dead_code, reason = "the canaries only ask whether something is wrong")]
pub struct Verdict {
    pub figures: Figures,
    pub journal: Vec<Record>,
    pub calls: Vec<Call>,
    /// Whether the fault that was asked for came.
    pub has_failed: bool,
    pub wrong: Option<String>,
}

/// One thing that goes wrong in an otherwise calm run.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "the canaries need no such run")]
pub enum Single {
    Disk(Option<Kind>, u64, Fault),
    Store(u64, Lost),
}

/// Lives through a seed.
pub fn run(seed: u64) -> Verdict {
    let mut chance = Chance::new(seed);
    let mixture = Mixture::of(&mut chance);
    let plans = (0..mixture.lives).map(|_| mixture.plan(&mut chance)).collect();
    live_all(chance, mixture, plans, None)
}

/// A run in which only that goes wrong; `None` when there is no such operation any more.
#[allow(dead_code, reason = "the canaries need no such run")]
pub fn run_with_one(seed: u64, single: Single) -> Option<Verdict> {
    let (mixture, disk) = match single {
        Single::Disk(kind, nth, fault) => (Mixture::calm(), Some((kind, nth, fault))),
        Single::Store(..) => (Mixture::calm(), None),
    };
    let plans = vec![Mixture::plan_with(disk)];
    let verdict = live_all(Chance::new(seed), mixture, plans, Some(single));
    (verdict.has_failed || verdict.wrong.is_some()).then_some(verdict)
}

fn live_all(mut chance: Chance, mixture: Mixture, plans: Vec<Plan>, single: Option<Single>) -> Verdict {
    let directory = database::directory();
    let directory = directory.path();
    let store = Arc::new(SimulatedStore::new(chance.next()));
    if let Some(Single::Store(nth, lost)) = single {
        store.lose(nth, lost);
    }
    let mut disk = SimulatedDisk::new(chance.next());
    let run = Rc::new(RefCell::new(Run {
        chance: chance.branch(),
        mixture: mixture.clone(),
        clock: Arc::new(SimulatedClock::new()),
        store: store.clone(),
        provider: SimulatedProvider::new(chance.next()),
        shop: Shop::default(),
        calls: Vec::new(),
        unheard: Vec::new(),
        witness: Vec::new(),
        figures: Figures { runs: 1, ..Figures::default() },
        wrong: None,
        moment: 0,
        keys: 0,
        faulty: None,
    }));
    for plan in plans {
        disk = live(&run, disk, plan, directory, chance.next());
        if run.borrow().wrong.is_some() {
            break;
        }
    }
    let has_failed =
        run.borrow().figures.disk_faults > 0 || matches!(single, Some(Single::Store(..))) && store.has_lost();
    store.lose_nothing();
    if run.borrow().wrong.is_none() {
        disk = live(&run, disk, Mixture::last(), directory, chance.next());
        let mut run = run.borrow_mut();
        if run.wrong.is_none() {
            run.compare(&disk);
            run.judge();
        }
    }
    let mut run = run.borrow_mut();
    let LineFigures { lost_before, lost_after, hung, deadlocks, away, .. } = store.figures();
    (run.figures.lost_before, run.figures.lost_after) = (lost_before, lost_after);
    (run.figures.hung, run.figures.deadlocks, run.figures.away) = (hung, deadlocks, away);
    let (journal, calls) = (std::mem::take(&mut run.witness), std::mem::take(&mut run.calls));
    Verdict { figures: run.figures, journal, calls, has_failed, wrong: run.wrong.take() }
}

/// One life, and the disk that it leaves.
fn live(
    run: &Rc<RefCell<Run>>,
    disk: SimulatedDisk,
    plan: Plan,
    directory: &Path,
    seed: u64,
) -> SimulatedDisk {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().expect("a runtime")
    };
    let system = System::with_tokio_rt(runtime);
    let (is_last, may_fail) = (plan.is_last, plan.disk.is_some());
    let ended = system.block_on(life::live(run.clone(), disk.clone(), plan, directory.to_owned()));
    // Everything that was under way ends here, without a last word.
    drop(system);
    let mut run = run.borrow_mut();
    run.figures.lives += 1;
    let has_failed = may_fail && disk.has_failed();
    run.figures.disk_faults += u64::from(has_failed);
    run.figures.full += u64::from(disk.was_full());
    if let Some(why) = run.store.refused() {
        run.object(format!("the store refuses what it is brought: {why}"));
    }
    if is_last && !matches!(ended, LifeEnd::Stopped) {
        run.object("the last life does not end in order");
    }
    let is_dead = disk.list().is_err();
    run.figures.disk_errors += u64::from(has_failed && !is_dead);
    let power_cut = is_dead
        || match ended {
            LifeEnd::PowerCut => true,
            LifeEnd::Killed => {
                run.figures.kills += 1;
                false
            }
            LifeEnd::Stopped => {
                run.figures.stops += 1;
                false
            }
            LifeEnd::Halted => {
                run.figures.halts += 1;
                seed.is_multiple_of(4)
            }
            LifeEnd::NotStarted => {
                run.figures.failed_starts += 1;
                seed.is_multiple_of(2)
            }
        };
    let disk = if power_cut {
        run.figures.power_cuts += 1;
        disk.crash(seed)
    } else {
        disk.heal();
        disk
    };
    disk.set_capacity(u64::MAX);
    disk
}
