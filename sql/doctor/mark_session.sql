SELECT set_config('ventros.mark', %(mark)s, false)
