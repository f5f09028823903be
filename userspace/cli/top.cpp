// SPDX-License-Identifier: Apache-2.0
// top: readings of the daemon, one after the other, as a live table; or the rates of one interval.
#include "userspace/cli/commands.h"
#include "userspace/cli/screen.h"
#include "userspace/cli/terminal_text.h"
#include "userspace/cli/top_table.h"

#include <boost/json.hpp>

#include <cerrno>
#include <exception>
#include <memory>
#include <mutex>
#include <ostream>
#include <sstream>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace penstock::cli {
namespace json = boost::json;
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto first_interval = std::chrono::milliseconds(500); // nobody likes to look at nothing

struct Taken {
    Reading reading;
    Clock::time_point when;
    std::string time; // the daemon's
    std::string trouble;
    int code = exit_ok;
};

// No word to the terminal: what went wrong is in `trouble`. A daemon without quotas is as good as one with none.
Taken take(const Client &client) {
    std::ostringstream ignored, trouble;
    const Session session{client, Output{ignored, trouble}};
    Taken taken;
    const auto fail_with = [&](int code) {
        taken.code = code;
        taken.trouble = trouble.str();
        while (taken.trouble.ends_with('\n'))
            taken.trouble.pop_back();
        return taken;
    };
    int code = exit_ok;
    const auto containers = ask(session, {.target = "/v1/containers"}, code);
    if (!containers)
        return fail_with(code);
    const auto counters = ask(session, {.target = "/v1/counters"}, code);
    taken.when = Clock::now();
    if (!counters)
        return fail_with(code);
    const auto quotas = ask(session, {.target = "/v1/quotas"}, code);
    taken.time = text_at(*counters, "time");
    taken.reading = reading_of(*counters, *containers, quotas.value_or(nullptr));
    return taken;
}

// One reading at a time, on a thread of its own: a daemon that does not answer must not keep anybody from leaving.
class Reader {
  public:
    explicit Reader(const Client &client) : client_(client), state_(std::make_shared<State>()) {}

    int descriptor() const { return state_->told.get(); }
    bool is_busy() const { return busy_; }

    void start() {
        busy_ = true;
        std::thread([client = client_, state = state_] {
            Taken taken;
            try {
                taken = take(client);
            } catch (const std::exception &broken) {
                taken.trouble = std::string("internal error: ") + broken.what();
                taken.code = exit_failed;
            }
            const std::lock_guard held(state->lock);
            state->taken = std::move(taken);
            ::eventfd_write(state->told.get(), 1);
        }).detach();
    }

    // What start() was for, when the descriptor is readable.
    Taken result() {
        const std::lock_guard held(state_->lock);
        eventfd_t count = 0;
        ::eventfd_read(state_->told.get(), &count);
        busy_ = false;
        return std::move(state_->taken);
    }

  private:
    struct State {
        std::mutex lock;
        Taken taken;
        UniqueFd told{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    };
    const Client &client_;
    std::shared_ptr<State> state_;
    bool busy_ = false;
};

double seconds_between(const Taken &before, const Taken &now) {
    return std::chrono::duration<double>(now.when - before.when).count();
}

int print_once(const Session &session, const View &view, std::chrono::milliseconds interval) {
    const Taken before = take(session.client);
    Taken now;
    if (before.trouble.empty()) {
        std::this_thread::sleep_for(interval);
        now = take(session.client);
    }
    if (const Taken &bad = before.trouble.empty() ? now : before; !bad.trouble.empty()) {
        session.output.err << bad.trouble << "\n"; // printable: as every error of ours
        return bad.code;
    }
    const double seconds = seconds_between(before, now);
    auto rows = rows_between(before.reading, now.reading, seconds);
    sort_rows(rows, view);
    if (session.output.format == Format::table)
        plain_table(rows).print(session.output.out, session.output.terminal);
    else
        print_value(session.output, rates_json(rows, seconds, now.time));
    return exit_ok;
}

class Live {
  public:
    Live(const Session &session, View view, std::chrono::milliseconds interval)
        : session_(session), view_(view), interval_(interval), reader_(session.client) {}

    int run() {
        before_ = take(session_.client);
        if (!before_.trouble.empty()) {
            session_.output.err << before_.trouble << "\n";
            return before_.code;
        }
        rows_ = rows_between(before_.reading, before_.reading, 0);
        {
            auto screen = Screen::open();
            if (!screen)
                return fail(session_.output, screen.error().message, exit_failed);
            show(*screen);
        }
        if (reader_.is_busy()) // its thread must not see the end of what it uses
            ::_exit(exit_ok);
        return exit_ok;
    }

  private:
    void show(Screen &screen) {
        auto next = Clock::now() + std::min(interval_, first_interval);
        draw(screen);
        while (!view_.quit) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now());
            if (left.count() <= 0 && !reader_.is_busy()) {
                reader_.start();
                next = Clock::now() + interval_;
            }
            const auto patience = reader_.is_busy() ? std::chrono::hours(1) : left;
            const auto happened = screen.wait(patience, reader_.descriptor());
            if (happened.end)
                return;
            press(view_, happened.keys);
            if (happened.other)
                accept(reader_.result());
            if (happened.other || happened.resized || !happened.keys.empty())
                draw(screen);
        }
    }

    void accept(Taken now) {
        trouble_ = now.trouble;
        if (!trouble_.empty())
            return; // the rows before it stay
        seconds_ = seconds_between(before_, now);
        rows_ = rows_between(before_.reading, now.reading, seconds_);
        before_ = std::move(now);
    }

    void draw(Screen &screen) {
        sort_rows(rows_, view_);
        const auto size = screen.size();
        screen.draw(picture(rows_, view_, seconds_, trouble_,
                            {size.columns, size.lines, session_.output.terminal.colour}));
    }

    const Session &session_;
    View view_;
    std::chrono::milliseconds interval_;
    Reader reader_;
    Taken before_;
    std::vector<Row> rows_;
    double seconds_ = 0;
    std::string trouble_;
};

} // namespace

int top(const Session &session, const TopOptions &options) {
    View view;
    view.sort = field_named(options.sort).value_or(Field::egress);
    view.reverse = options.reverse;
    const bool live = !options.once && session.output.format == Format::table &&
                      session.output.terminal.columns > 0 && Screen::possible();
    if (!live)
        return print_once(session, view, options.interval);
    session.output.out.flush();
    return Live(session, view, options.interval).run();
}

} // namespace penstock::cli
