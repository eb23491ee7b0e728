//! Full text over the text channels of a waddle that the caller may read.

use floe_log::Disk;
use floe_proto::community::RoomKind;
use floe_proto::{ChannelId, Code, Page, Scope, Search, SearchMode, StoredEvent};
use floe_surfaces::channels;
use floe_surfaces::community::http::Seek;

use super::{Desk, Expect, Reactor};
use crate::reactor::conn::Context;
use crate::shard::Failure;
use crate::views::{Answer, Ask as ViewAsk, Wait};

/// A search that the view has been asked for, and who asked: what they may read is looked at once
/// more before they are answered.
#[derive(Debug)]
pub struct Sought {
    desk: Desk,
}

/// Channels that one search looks at.
const CHANNELS_MAX: usize = 1_000;

impl<D: Disk> Reactor<D> {
    /// Searches the channels that the caller may read now.
    pub(super) fn search_waddle(&mut self, desk: Desk, seek: Seek) -> Result<(), Failure> {
        let channels = self.searched(&desk)?;
        if channels.len() > CHANNELS_MAX {
            let message = format!("a search looks at {CHANNELS_MAX} channels at most");
            return Err(Failure::new(Code::LimitReached, message));
        }
        let search = Search {
            scope: Scope::Channels {
                owner: desk.namespace.as_str().into(),
                channels: channels.into(),
            },
            text: seek.text,
            mode: SearchMode::Words,
            limit: seek.limit.min(self.bounds.limit_max),
            page: seek.page,
        };
        let (at, context) = (desk.at, desk.context);
        let expect = Expect::Sought(Box::new(Sought { desk }));
        let ticket = self.wait(at, context, Some(Box::new(expect)));
        let timeout_ms = self.limits.query_wait_ms;
        let mark = self.shard.next_view_mark();
        let asked = self.views.ask(
            ticket,
            ViewAsk::Search(search),
            Wait::Open { timeout_ms },
            mark,
            self.clock.uptime_ms,
        );
        if let Err(failure) = asked {
            self.shard.refuse(ticket, failure);
        }
        Ok(())
    }

    /// Returns the text channels that the caller may read now, ascending.
    fn searched(&mut self, desk: &Desk) -> Result<Vec<ChannelId>, Failure> {
        let (slot, sight) = self.see_waddle(desk)?;
        let rooms = self.readable_rooms(desk, slot, sight)?;
        let text = rooms.iter().filter(|(_, room)| room.kind == RoomKind::Text);
        Ok(text.map(|(id, _)| *id).collect())
    }

    /// Answers a search with what the caller may still see of what was found.
    pub(in crate::reactor) fn answer_sought(
        &mut self,
        at: usize,
        context: Context,
        sought: &Sought,
        answer: Result<Answer, Failure>,
        lag: channels::Lag,
    ) {
        let page = match answer {
            Ok(Answer::Events(page)) => self.still_seen(&sought.desk, page),
            Ok(
                Answer::Messages { .. }
                | Answer::Channels(_)
                | Answer::Event(_)
                | Answer::Reactions(_)
                | Answer::Unread(_),
            ) => {
                unreachable!("a search finds events")
            }
            Err(failure) => Err(failure),
        };
        match page {
            Ok(page) => self.show(at, context, |out, envelope| {
                channels::write_hits(out, envelope, &page, lag);
            }),
            Err(failure) => self.answer_failure(at, context, &failure),
        }
    }

    fn still_seen(
        &mut self,
        desk: &Desk,
        mut page: Page<StoredEvent>,
    ) -> Result<Page<StoredEvent>, Failure> {
        let opened = self.renew(desk.at, &desk.opened)?;
        let id = desk.id.clone();
        let desk = self.desk(desk.at, desk.context, opened, desk.namespace.clone(), id);
        let channels = self.searched(&desk)?;
        page.items
            .retain(|found| channels.binary_search(&found.channel).is_ok());
        Ok(page)
    }
}
