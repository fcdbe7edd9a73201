//! The dimensions that rollups hold: one table, readable at a glance.

/// Which function feeds a dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One event alone (`f`).
    Event,
    /// One session alone (`g`), in the bucket of its start.
    Visit,
    /// Both: `f` its visitors, pageviews and events, `g` its sessions, bounces and duration.
    Total,
}

/// What a rollup row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum Dimension {
    /// Everything; its value is empty.
    Total = 0,
    /// The page's path.
    Page = 1,
    /// The page's host.
    Hostname = 2,
    /// What happened.
    EventName = 3,
    /// The site's own grouping.
    Category = 4,
    /// Which app sent it.
    EventSource = 5,
    /// Path of the session's first pageview.
    EntryPage = 20,
    /// Path of the session's last pageview.
    ExitPage = 21,
    /// Where the session came from.
    Source = 22,
    /// Browser family.
    Browser = 23,
    /// Operating system family.
    Os = 24,
    /// Kind of device.
    Device = 25,
    /// Country, as ISO 3166-1 alpha-2.
    Country = 26,
    /// Region, as ISO 3166-2.
    Region = 27,
    /// City, by its English name.
    City = 28,
}

impl Dimension {
    /// Every dimension. The numbers are stored: they are only added to.
    pub const ALL: [Self; 15] = [
        Self::Total,
        Self::Page,
        Self::Hostname,
        Self::EventName,
        Self::Category,
        Self::EventSource,
        Self::EntryPage,
        Self::ExitPage,
        Self::Source,
        Self::Browser,
        Self::Os,
        Self::Device,
        Self::Country,
        Self::Region,
        Self::City,
    ];

    /// The stored number.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The dimension of a stored number.
    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.code() == code)
    }

    /// Its name in the query API; the total has none.
    #[must_use]
    pub const fn api_name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Page => "event:page",
            Self::Hostname => "event:hostname",
            Self::EventName => "event:name",
            Self::Category => "event:category",
            Self::EventSource => "event:event_source",
            Self::EntryPage => "visit:entry_page",
            Self::ExitPage => "visit:exit_page",
            Self::Source => "visit:source",
            Self::Browser => "visit:browser",
            Self::Os => "visit:os",
            Self::Device => "visit:device",
            Self::Country => "visit:country",
            Self::Region => "visit:region",
            Self::City => "visit:city",
        }
    }

    /// The column that holds it: of `event` for [`Scope::Event`], of `session` for [`Scope::Visit`].
    #[must_use]
    pub const fn column(self) -> &'static str {
        match self {
            Self::Total => "",
            Self::Page => "path",
            Self::Hostname => "hostname",
            Self::EventName => "name",
            Self::Category => "category",
            Self::EventSource => "event_source",
            Self::EntryPage => "entry_page",
            Self::ExitPage => "exit_page",
            Self::Source => "source",
            Self::Browser => "browser",
            Self::Os => "os",
            Self::Device => "device",
            Self::Country => "country",
            Self::Region => "region",
            Self::City => "city",
        }
    }

    /// Which function feeds it.
    #[must_use]
    pub const fn scope(self) -> Scope {
        match self {
            Self::Total => Scope::Total,
            Self::Page | Self::Hostname | Self::EventName | Self::Category | Self::EventSource => {
                Scope::Event
            }
            Self::EntryPage
            | Self::ExitPage
            | Self::Source
            | Self::Browser
            | Self::Os
            | Self::Device
            | Self::Country
            | Self::Region
            | Self::City => Scope::Visit,
        }
    }

    /// The value of a row whose column is null; `None` where such rows are not in the dimension at all.
    #[must_use]
    pub const fn missing(self) -> Option<&'static str> {
        match self {
            Self::Total => Some(""),
            Self::Page | Self::Hostname | Self::EventName | Self::Category | Self::EventSource => None,
            Self::EntryPage | Self::ExitPage => Some("(none)"),
            Self::Source => Some("(direct)"),
            Self::Browser | Self::Os | Self::Device | Self::Country | Self::Region | Self::City => {
                Some("(unknown)")
            }
        }
    }

    /// Whether its rows count visitors. A session's exit page moves with every pageview, and a sketch
    /// cannot forget.
    #[must_use]
    pub const fn counts_visitors(self) -> bool {
        !matches!(self, Self::ExitPage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique() {
        for (index, dimension) in Dimension::ALL.into_iter().enumerate() {
            assert_eq!(Dimension::from_code(dimension.code()), Some(dimension));
            for other in &Dimension::ALL[index + 1..] {
                assert_ne!(dimension.code(), other.code());
                assert_ne!(dimension.api_name(), other.api_name());
            }
        }
    }
}
