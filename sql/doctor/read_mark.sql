SELECT current_setting('ventros.mark', true)
